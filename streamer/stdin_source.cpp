#include "stdin_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "daystream/line.h"
#include "daystream/writer.h"
#include "disk_wait.h"
#include "flusher.h"
#include "housekeeper.h"
#include "program/program.h"
#include "progress.h"
#include "watermarks.h"

namespace deltastream {

using daystream::Lsn;
using daystream::Writer;

namespace {

[[noreturn]] void no_commit_lines() {
  throw CLI::ParseError(
      "the input has no commit lines: run pg_recvlogical with -o include-transaction",
      CLI::ExitCodes::InvalidError);
}

// A chunk is read at once and the Writer handed its whole lines.
constexpr std::size_t kChunkBytes = 1 << 20;
// Progress wants a tick a second.
constexpr int kTickMilliseconds = 1'000;

class StdinSource {
 public:
  StdinSource(const Config& config, daystream::program::Signals& signals)
      : config_(config), signals_(signals) {}

  void run() {
    while (!signals_.stop_requested()) {
      if (wait_for_input() && !read_chunk()) break;
      begin_due_flush();
    }
    if (!signals_.stop_requested()) check_.at_end();
    finish();
  }

 private:
  // Sleeps until there is input (true), a flush has ended or a signal came.
  bool wait_for_input() {
    int timeout = kTickMilliseconds;
    if (const auto sync = next_sync()) {
      const auto left = std::chrono::ceil<Milliseconds>(*sync - Clock::now());
      timeout = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, timeout));
    }
    pollfd fds[] = {
        {STDIN_FILENO, POLLIN, 0}, {signals_.fd(), POLLIN, 0}, {flusher_.fd(), POLLIN, 0}};
    if (::poll(fds, 3, timeout) < 0 && errno != EINTR) {
      throw daystream::IoError("could not wait for standard input", errno);
    }
    if (fds[1].revents != 0) signals_.clear();
    if (progress_) progress_->tick(*writer_);
    if (writer_) writer_->check_place();
    if (housekeeper_) housekeeper_->tell(writer_->flushed(), writer_->flushed_position());
    if (const auto flush = flusher_.take()) writer_->finish_flush(*flush);
    return fds[0].revents != 0;
  }

  // False: end of input.
  bool read_chunk() {
    const std::size_t old = pending_.size();
    pending_.resize(old + kChunkBytes);
    const ssize_t got = ::read(STDIN_FILENO, pending_.data() + old, kChunkBytes);
    const int problem = errno;
    pending_.resize(old + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && (problem == EINTR || problem == EAGAIN)) return true;
    if (got < 0) throw daystream::IoError("could not read standard input", problem);
    if (got == 0) return false;
    // Only the new bytes can hold the newline that ends a line begun before.
    const std::size_t newline = std::string_view(pending_).substr(old).rfind('\n');
    if (newline == std::string_view::npos) return true;
    const std::string_view lines = std::string_view(pending_).substr(0, old + newline);
    take(lines);
    pending_.erase(0, lines.size() + 1);
    return true;
  }

  void take(std::string_view lines) {
    if (!check_.satisfied()) {
      check_.look_at(lines);  // before the directory is made
      if (!check_.satisfied() && held_.size() + lines.size() <= kHeldBytes) {
        held_.append(lines).push_back('\n');
        return;
      }
    }
    if (!writer_) open();
    if (!held_.empty()) {
      held_.append(lines);
      writer_->append(held_);
      held_ = std::string();
    } else {
      writer_->append(lines);
    }
  }

  void open() {
    daystream::Manifest manifest;
    manifest.holdings = {config_.holding()};
    writer_ = std::make_unique<Writer>(config_.directory, manifest, std::nullopt,
                                       daystream::WriterOptions{});
    if (writer_->empty()) writer_->mark(Lsn{}, {});
    writer_->flush();
    const daystream::HousekeepingRules& rules = config_.housekeeping;
    writer_->declare_keeping(rules.keep_days, rules.keep_bytes);
    if (rules.any()) housekeeper_.emplace(config_.directory, rules);
    progress_.emplace(config_.directory, config_.slot, config_.status_interval,
                      config_.metrics_file);
    progress_->streaming(*writer_);
    spdlog::info("reading standard input into \"{}\", position={}", config_.directory,
                 writer_->position().text());
  }

  WriterState state() const {
    return {writer_->last_lsn(), writer_->flushed(), writer_->in_transaction(), writer_->dirty(),
            writer_->appended_bytes()};
  }

  // nullopt: none is due.
  std::optional<Clock::time_point> next_sync() const {
    if (!writer_ || flusher_.busy()) return std::nullopt;
    return watermarks_.sync_time(state());
  }

  void begin_due_flush() {
    const auto now = Clock::now();
    const auto due = next_sync();
    if (!due || now < *due) return;
    Writer::Flush flush = writer_->begin_flush();
    watermarks_.on_sync_begin(now, state());
    flusher_.start(std::move(flush));
  }

  void finish() {
    if (!pending_.empty()) {
      spdlog::warn("the input ends in half a line of {} bytes, which is dropped", pending_.size());
    }
    if (!writer_) return;
    if (writer_->in_transaction()) {
      spdlog::warn("the input ends inside a transaction, which is given up");
    }
    settle(*writer_, flusher_, signals_, [this] { progress_->alive(); });
    spdlog::info("stopped at {}, position={}: all of it is on disk", writer_->flushed().text(),
                 writer_->position().text());
  }

  // Lines kept back until the first commit line, so that input without any leaves no directory. A
  // first transaction that is larger is taken on trust.
  static constexpr std::size_t kHeldBytes = 4 << 20;

  const Config& config_;
  daystream::program::Signals& signals_;
  CommitLineCheck check_;
  std::string pending_;  // read, and not yet a whole line
  std::string held_;     // whole lines before the first commit
  std::unique_ptr<Writer> writer_;
  std::optional<Housekeeper> housekeeper_;
  std::optional<Progress> progress_;  // with writer_
  Flusher flusher_;                   // after writer_: ends first
  // Nobody is told anything: only its syncs count.
  Watermarks watermarks_{{config_.fsync_interval, Milliseconds{0}, std::nullopt, false},
                         Clock::now()};
};

}  // namespace

void CommitLineCheck::look_at(std::string_view lines) {
  while (!lines.empty() && !commit_seen_) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(line.size() + 1, lines.size()));
    const daystream::Change change = daystream::parse_change(line);
    if (change.action == daystream::Action::Commit) {
      commit_seen_ = true;
      return;
    }
    const std::string xid = std::to_string(change.xid);
    if (line_seen_ && xid != xid_) no_commit_lines();
    line_seen_ = true;
    xid_ = xid;
  }
}

void CommitLineCheck::at_end() const {
  if (line_seen_ && !commit_seen_) no_commit_lines();
}

void follow_stdin(const Config& config, daystream::program::Signals& signals) {
  StdinSource(config, signals).run();
}

}  // namespace deltastream
