// A Reader's source on another host: one long response, spooled until it is read.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "daystream/error.h"
#include "reader_source.h"
#include "remote/beats.h"
#include "remote/http_client.h"
#include "remote/line_runs.h"
#include "remote/pauses.h"
#include "remote/spool.h"

namespace daystream::remote {

// Bytes are taken from the socket when all that came before was read, so that little is spooled but
// a large transaction that is not whole yet.
//
// A connection that breaks is made again right after the last whole line, with growing pauses. In
// limit(), which must say how much there is, for kPatience at most; then it throws ConnectionLost.
// In wait() for as long as it takes. What cannot be mended by that is thrown as what it is.
//
// Threads: one; all work is done inside the calls.
class RemoteSource final : public ReaderSource {
 public:
  static constexpr std::chrono::seconds kPatience{60};

  RemoteSource(Options options, Url url);

  std::string name() const override { return url_.base; }
  Manifest manifest() override;
  std::optional<Place> resolve(const StartAfter& start) override;
  std::vector<std::int64_t> days() override { return spool_.days(); }
  std::unique_ptr<File> open_day(std::int64_t day) override;
  std::optional<Limit> limit(std::int64_t day, std::uint64_t offset) override;
  bool wait(std::chrono::milliseconds timeout, int wake_fd) override;
  std::uint64_t backlog_bytes(std::int64_t day, std::uint64_t offset) override;

 private:
  void connect(const std::string& query);
  void connect_again();
  void lost(const Error& error);
  bool take();
  bool have_more() const;
  bool receive(std::chrono::milliseconds timeout, int wake_fd);

  Options options_;
  Url url_;
  std::unique_ptr<Download> download_;  // nullptr: not connected
  Beats beats_;
  LineRuns runs_;
  Spool spool_;
  std::string lines_;
  Position last_ = Position::begin();  // the last whole line that was spooled, or where it began
  bool at_tail_ = false;               // a beat was the last that came
  bool begun_ = false;                 // resolve() found where
  std::optional<Limit> told_;          // what limit() said last
  Pauses pauses_;
  std::chrono::steady_clock::time_point try_again_at_;
};

}  // namespace daystream::remote
