// How far a stream is, for people and machines: the file `status.json` in the daystream's
// directory, which deltastream replaces every few seconds, and the command that shows it. Nothing
// depends on that file; it is not synced.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "daystream/lsn.h"
#include "daystream/position.h"

namespace deltastream {

// What the server says of its log and our slot, when last asked.
struct PgServerState {
  std::optional<daystream::Lsn> server_lsn;  // end of its WAL
  std::optional<std::uint64_t> lag_bytes;
  std::optional<double> lag_s;
  std::optional<std::uint64_t> retained_wal_bytes;
  std::optional<std::uint64_t> until_lost_bytes;
  std::optional<double> until_lost_s;  // at the present rate
  std::string wal_status;
};

struct Status {
  std::string state;         // streaming, waiting, stopped
  std::int64_t since_s = 0;  // since 1970: when it came to be so
  int pid = 0;
  std::int64_t updated_s = 0;  // since 1970
  std::string slot;
  daystream::Position position;  // durable
  daystream::Lsn lsn;            // durable; and confirmed, unless waiting_for says otherwise
  double lines_per_s = 0;
  double bytes_per_s = 0;
  PgServerState server;
  std::string server_problem;  // why `server` is not known; empty: it is
  std::optional<std::uint64_t> disk_free_bytes;
  std::optional<double> disk_left_s;   // at the present rate
  std::int64_t disk_full_since_s = 0;  // since 1970; 0: there is room
  std::string waiting_for;  // --require-copies: what is not on enough disks; empty: nothing
  std::string left_out;     // why a table of the publication is not told whole; empty: all are
  std::string left_out_hint;
  std::string last_error;
  std::string last_hint;  // what to do about it; empty: nothing is known
  std::int64_t last_error_s = 0;
  bool needs_person = false;  // it stopped at that, and another start would too

  // Another state begins, unless it is the same.
  void enter(const std::string& next);
  std::string json() const;
  static std::optional<Status> parse(const std::string& text);
};

// Replaces the file; where the disk is full, its text. A failure is no reason to stop a stream, so
// it is only told: false.
bool save_status(const std::filesystem::path& directory, const Status& status) noexcept;
std::optional<Status> load_status(const std::filesystem::path& directory);
// For a deltastream that could not begin: adds why to the file, unless another one writes it.
void save_last_error(const std::filesystem::path& directory, const std::string& problem,
                     const std::string& hint, bool needs_person) noexcept;
// For Prometheus (docs/monitoring.md): the same families as of `daystream serve`, of this stream,
// which is called as its directory is.
std::string metrics_of(const std::filesystem::path& directory, const Status& status);

// The command. Exit code 0 if a deltastream streams there, 3 if it stopped for a person to see to,
// else 1. Throws ConfigError if DIR is no daystream.
int run_status(const std::string& directory, bool json);

}  // namespace deltastream
