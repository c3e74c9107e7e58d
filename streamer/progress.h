// Reports how the stream goes: the periodic log line, status.json, systemd, warnings before
// something runs out. It only looks on, and decides nothing about the stream.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "config.h"
#include "daystream/writer.h"
#include "program/notify.h"
#include "server_monitor.h"
#include "status.h"
#include "status_file.h"
#include "watermarks.h"

namespace deltastream {

class Progress {
 public:
  Progress(const Config& config, std::filesystem::path directory);
  ~Progress();  // says that it has stopped

  void streaming(const daystream::Writer& writer);             // a connection's stream begins
  void waiting(const std::string& problem);                    // it ended; another try comes
  void failed(const std::string& problem, bool needs_person);  // or none does
  // To be called at least once a second.
  void tick(const daystream::Writer& writer);
  // What keeps written lines from being confirmed, for people; empty: nothing does.
  void waits_for(std::string what) { status_.waiting_for = std::move(what); }
  void alive();  // the same while there is no stream

  // The server's end of WAL, as last seen, once.
  std::optional<WalEnd> take_wal_end() noexcept { return std::exchange(wal_end_, std::nullopt); }
  // Whether commits on the server wait for us, as last seen.
  std::optional<bool> synchronous_standby() const noexcept { return synchronous_standby_; }

 private:
  using Time = std::chrono::steady_clock::time_point;

  void look(const daystream::Writer& writer, Time now);
  void take_answer();
  void take_sample(const ServerSample& sample);
  bool is_time_to_look(Time now) const;
  void look_at_lag(Time now);
  void look_at_disk();
  void warn_in_time(Time now);
  void report();
  void save();

  const Config& config_;
  std::filesystem::path directory_;
  StatusFile file_;
  daystream::program::Notify notify_;
  std::optional<ServerMonitor> monitor_;
  Status status_;
  std::optional<bool> synchronous_standby_;
  std::optional<WalEnd> wal_end_;
  std::optional<ServerSample> sample_;
  Time last_look_;
  Time last_report_;
  Time last_warning_;
  Time caught_up_at_;
  std::uint64_t last_lines_ = 0;
  std::uint64_t last_bytes_ = 0;
  daystream::Lsn reported_lsn_;
  int answers_missing_ = 0;    // since the last sample
  bool told_missing_ = false;  // and warned of
};

}  // namespace deltastream
