// Reports how the stream goes: the periodic log line, status.json, systemd, warnings before
// something runs out. It only looks on, and decides nothing about the stream.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "daystream/writer.h"
#include "program/notify.h"
#include "program/repeats.h"
#include "server/server_monitor.h"
#include "status/status.h"
#include "status/status_file.h"

namespace deltastream {

class Progress {
 public:
  // `slot`: empty: there is none. `status_interval`: how often to look, within limits.
  // `metrics_file`: for Prometheus; empty: none.
  Progress(std::filesystem::path directory, const std::string& slot,
           std::chrono::milliseconds status_interval, const std::string& metrics_file);
  ~Progress();  // says that it has stopped

  void streaming(const daystream::Writer& writer);  // a connection's stream begins
  // It ended; another try comes.
  void waiting(const std::string& problem, const std::string& hint);
  void failed(const std::string& problem, const std::string& hint,
              bool needs_person);  // or none does
  // It is given up: what it has put on disk is what there is.
  void left(const daystream::Writer& writer);
  // To be called at least once a second.
  void tick(const daystream::Writer& writer);
  // What keeps written lines from being confirmed, for people; empty: nothing does.
  void waits_for(std::string what) {
    status_.waiting_for = !what.empty() || !sample_ ? std::move(what) : sample_->waiting_for;
  }
  // What the publication leaves out of a table, for people; empty: nothing.
  void leaves_out(std::string what, std::string hint);
  void alive();  // the same while there is no stream

  void take(const ServerAnswer& answer);  // of the server, as they come
  void set_status_interval(std::chrono::milliseconds interval) noexcept { interval_ = interval; }

 private:
  using Time = std::chrono::steady_clock::time_point;

  void look(const daystream::Writer& writer, Time now);
  void take_sample(const ServerSample& sample);
  bool is_time_to_look(Time now) const;
  void look_at_lag(Time now);
  void look_at_disk();
  void warn_in_time(Time now);
  void report();
  void save();

  std::filesystem::path directory_;
  std::chrono::milliseconds interval_;
  StatusFile file_;
  daystream::program::Notify notify_;
  Status status_;
  std::optional<ServerSample> sample_;
  Time last_look_;
  Time last_report_;
  daystream::program::AtMostEvery disk_warnings_{std::chrono::minutes(10)};
  daystream::program::AtMostEvery slot_warnings_{std::chrono::minutes(10)};
  Time caught_up_at_;
  std::uint64_t last_lines_ = 0;
  std::uint64_t last_bytes_ = 0;
  daystream::Lsn reported_lsn_;
  int answers_missing_ = 0;    // since the last sample
  bool told_missing_ = false;  // and warned of
};

}  // namespace deltastream
