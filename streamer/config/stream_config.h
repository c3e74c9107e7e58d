// What deltastream is asked to do: flags, or a JSON file with the same names.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daystream/error.h"
#include "daystream/housekeeping.h"
#include "daystream/lsn.h"
#include "daystream/manifest.h"

namespace deltastream {

enum class Command {
  Follow,        // stream from the slot into the directory
  CreateSlot,    // --create-slot without a directory: only that
  DropSlot,      // --drop-slot
  RecreateSlot,  // --recreate-slot
  Check,         // --check
  Stdin,         // --stdin
  Status,        // status DIR
};

struct Config {
  Command command = Command::Follow;

  std::string conninfo;                // libpq's, may hold a password: never logged
  std::string slot;                    // -S
  bool pgoutput = false;               // --source pgoutput: PostgreSQL's own plugin
  std::string publication;             // of it; empty: our own plugin
  std::uint64_t most_spool_bytes = 0;  // --max-spool, of transactions in progress; 0: any
  std::string directory;               // -D
  bool create_slot = false;
  bool if_not_exists = false;
  bool adopt_slot = false;         // take one that another daystream has read from
  bool replace_lost_slot = false;  // --on-lost-slot: write a gap and go on with a new one
  bool failover = true;            // standbys may keep the slot; --no-failover clears it
  std::chrono::seconds create_timeout{60};

  std::string tables;                                        // empty: all
  std::vector<std::pair<std::string, std::string>> filters;  // the other filters, as given

  std::optional<daystream::Lsn> end_lsn;  // -E
  bool loop = true;                       // --no-loop clears it
  std::chrono::milliseconds fsync_interval{0};
  std::chrono::milliseconds status_interval{10'000};  // 0: only when asked or moved

  unsigned require_copies = 0;  // confirm only what so many relays have on disk too

  daystream::HousekeepingRules housekeeping;  // --compress, --keep-days, --keep-bytes

  bool json = false;                   // status, --check
  std::string metrics_file;            // for Prometheus; empty: none
  std::string log_level = "info";      // error, warn, info, debug
  std::string log_format = "text";     // text, json
  std::string log_source;              // that log lines name; empty: none
  std::string last_words;              // see daystream::program::set_last_words()
  std::string config_file;             // empty: none
  std::vector<std::string> arguments;  // as given, to read the file again

  // The plugin that the slot is of.
  const char* plugin() const noexcept { return pgoutput ? "pgoutput" : "deltaflood"; }
  // The filter as the manifest and the marks have it; `since` is left at the beginning.
  daystream::Holding holding() const;
};

// Throws CLI::ParseError (usage; also help and version, with exit code 0) or ConfigError (a bad
// configuration file). Flags override the file.
Config parse_config(int argc, const char* const* argv);

Config parse_config(const std::vector<std::string>& arguments);

// The file read again (SIGHUP), with the same flags over it. What names the stream itself cannot
// change while it runs: ConfigError.
Config reload_config(const Config& running);
// Whether what was asked of the server differs, so that it takes a new connection.
bool same_stream(const Config& one, const Config& other);

}  // namespace deltastream
