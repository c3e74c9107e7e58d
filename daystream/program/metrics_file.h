// Metrics where no `daystream serve` runs: a file for the textfile collector of Prometheus'
// node_exporter, which is replaced every few seconds. No socket to guard, no port to choose; the
// file carries the time at which it was written, by which an alert sees that nobody writes it.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include "program/repeats.h"

namespace daystream::program {

// Whether `file` is one that the collector will read, in a folder where files can be made. Throws
// ConfigError with what is wrong. Writes nothing.
void check_metrics_file(const std::filesystem::path& file);

// The file. Not being able to write it is no reason to stop: it is logged, once a minute while it
// goes on, and so is the first success after it.
class MetricsTarget {
 public:
  // `file` empty: does nothing. Warns of a name that no collector reads.
  explicit MetricsTarget(std::filesystem::path file);

  explicit operator bool() const noexcept { return !file_.empty(); }
  // Replaces it by what `text` returns, readable for everybody whatever the umask: it is the
  // collector's, and has no data.
  void replace(const std::function<std::string()>& text) noexcept;

 private:
  void failed(const std::string& why, const std::string& hint);

  const std::filesystem::path file_;
  Repeats problems_;
  bool failed_ = false;
};

// Replaces one at once, every kInterval, and a last time when it is destroyed, on a thread of its
// own.
//
// Threads: `text` is called on that thread, the last time on the destroyer's.
class MetricsFile {
 public:
  // With a deltastream's silence, and the report by which a mirror hears of it from a server, less
  // than the 15 s in which all trouble is told (docs/monitoring.md).
  static constexpr std::chrono::milliseconds kInterval{1'500};

  // `file` empty: does nothing.
  MetricsFile(std::filesystem::path file, std::function<std::string()> text);
  MetricsFile(const MetricsFile&) = delete;
  MetricsFile& operator=(const MetricsFile&) = delete;
  ~MetricsFile();

 private:
  MetricsTarget target_;
  const std::function<std::string()> text_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace daystream::program
