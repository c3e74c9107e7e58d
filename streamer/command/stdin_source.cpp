#include "command/stdin_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "daystream/error.h"
#include "daystream/line.h"
#include "daystream/writer.h"
#include "program/program.h"
#include "src/last_newline.h"
#include "src/waiting.h"
#include "write/sink.h"

namespace deltastream {

using daystream::Lsn;
using daystream::Writer;

namespace {

[[noreturn]] void no_commit_lines() {
  throw daystream::ConfigError("the input has no commit lines",
                               "run pg_recvlogical with -o include-transaction");
}

// A chunk is read at once and the Writer handed its whole lines.
constexpr std::size_t kChunkBytes = 1 << 20;
// The observer is called at least so often.
constexpr Milliseconds kTick{1'000};

class StdinSource {
 public:
  StdinSource(const Config& config, daystream::program::Signals& signals)
      : config_(config), signals_(signals) {}

  void run() {
    while (!signals_.stop_requested()) {
      if (wait_for_input() && !read_chunk()) break;
      if (sink_) sink_->begin_due_flush();
    }
    if (!signals_.stop_requested()) check_.at_end();
    finish();
  }

 private:
  // Sleeps until there is input (true), a flush has ended or a signal came.
  bool wait_for_input() {
    auto until = Clock::now() + kTick;
    if (const auto flush = sink_ ? sink_->next_flush() : std::nullopt) {
      until = std::min(until, *flush);
    }
    daystream::WaitSet news{STDIN_FILENO, signals_.fd(), flusher_.fd()};
    news.wait_until(until);
    if (news.ready(signals_.fd())) signals_.clear();
    if (sink_) {
      sink_->look_on(writer_->flushed());
      sink_->take_finished_flush();
    }
    return news.ready(STDIN_FILENO);
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
    const std::size_t newline = daystream::last_newline(std::string_view(pending_).substr(old));
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
    // Nobody waits for a confirmation: of the intervals only that of the syncs counts.
    sink_.emplace(Sink::Parts{*writer_, flusher_, *progress_, nullptr,
                              housekeeper_ ? &*housekeeper_ : nullptr},
                  Intervals{config_.fsync_interval, Milliseconds{0}, std::nullopt, false});
    spdlog::info("reading standard input into \"{}\", position={}", config_.directory,
                 writer_->position().text());
  }

  void finish() {
    if (!pending_.empty()) {
      spdlog::warn("the input ends in half a line of {} bytes, which is dropped", pending_.size());
    }
    if (!writer_) return;
    if (writer_->in_transaction()) {
      spdlog::warn("the input ends inside a transaction, which is given up");
    }
    sink_->finish(signals_, [this] { progress_->alive(); });
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
  std::optional<Sink> sink_;          // with writer_
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
