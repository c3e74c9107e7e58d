// A Reader's source on another host: one long response, spooled until it is read.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "daystream/error.h"
#include "program/retries.h"
#include "reader_source.h"
#include "remote/http_client.h"
#include "remote/response_lines.h"

namespace daystream::remote {

// Bytes are taken from the socket when all that came before was read, so that little is spooled but
// a large transaction that is not whole yet.
//
// A connection that breaks is made again right after the last whole line, with growing pauses: in
// wait(), for as long as it takes. limit() says "nothing more yet" meanwhile once everything was
// there; before that it has to know, tries for kPatience at most and throws ConnectionLost.
// What cannot be mended by trying again is thrown as what it is.
//
// Threads: one; all work is done inside the calls.
class RemoteSource final : public ReaderSource {
 public:
  static constexpr std::chrono::seconds kPatience{20};

  RemoteSource(Options options, Url url);

  std::string name() const override { return url_.base; }
  Manifest manifest() override;
  std::optional<Place> resolve(const StartAfter& start) override;
  bool is_filtered() const override { return !filter_.empty(); }
  std::vector<std::int64_t> days() override { return lines_.spool().days(); }
  std::unique_ptr<File> open_day(std::int64_t day) override;
  std::optional<Limit> limit(std::int64_t day, std::uint64_t offset) override;
  bool wait(std::chrono::milliseconds timeout, int wake_fd) override;
  std::optional<Away> away() const override { return away_; }
  std::uint64_t backlog_bytes(std::int64_t day, std::uint64_t offset) override;

 private:
  void connect(const std::string& query);
  void connect_again();
  void check_filter();
  void lost(const Error& error);
  bool take();
  bool have_more() const;
  bool receive(std::chrono::milliseconds timeout, int wake_fd);

  Options options_;
  Url url_;
  std::unique_ptr<Download> download_;  // nullptr: not connected
  ResponseLines lines_;                 // what came
  std::string tables_;                  // what we ask for: a table list, empty: all
  std::string filter_;                  // what the server said it leaves; empty: everything
  bool filter_known_ = false;
  int wake_fd_ = -1;           // that wait() was given last
  bool begun_ = false;         // resolve() found where
  std::optional<Limit> told_;  // what limit() said last
  program::Retries retries_;
  int failures_ = 0;          // to connect, since bytes came last
  std::optional<Away> away_;  // how the first of them went
  std::chrono::steady_clock::time_point try_again_at_;
};

}  // namespace daystream::remote
