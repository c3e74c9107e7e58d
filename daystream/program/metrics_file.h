// Metrics for who runs no `daystream serve`: a file for the textfile collector of Prometheus'
// node_exporter, which is replaced every few seconds. No socket to guard, no port to choose; the
// file carries the time at which it was written, by which an alert sees that nobody writes it.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>

namespace daystream::program {

// Replaces `file` by `text`, readable for everybody whatever the umask: it is the collector's, and
// has no data. False: it could not, which is no reason to stop.
bool replace_metrics(const std::filesystem::path& file, const std::string& text) noexcept;

// Does so at once, every kInterval, and a last time when it is destroyed, on a thread of its own.
// The first failure is logged, and the first success after one.
//
// Threads: `text` is called on that thread, the last time on the destroyer's.
class MetricsFile {
 public:
  static constexpr std::chrono::seconds kInterval{5};

  // `file` empty: does nothing.
  MetricsFile(std::filesystem::path file, std::function<std::string()> text);
  MetricsFile(const MetricsFile&) = delete;
  MetricsFile& operator=(const MetricsFile&) = delete;
  ~MetricsFile();

 private:
  void write() noexcept;

  const std::filesystem::path file_;
  const std::function<std::string()> text_;
  bool failed_ = false;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace daystream::program
