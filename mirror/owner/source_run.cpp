#include "owner/source_run.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "apply/asked_tables.h"
#include "apply/same_source.h"
#include "model/shell_word.h"
#include "owner/source_loop.h"
#include "program/notify.h"
#include "program/retries.h"
#include "src/reasons.h"

namespace deltamirror {

using std::chrono::steady_clock;

namespace {

constexpr std::chrono::milliseconds kBehindPause{1000};
// No server suffers from one that looks often at its own disk.
constexpr std::chrono::milliseconds kLongestOwnPause{3000};

}  // namespace

Shared::Shared(const RunOptions& options, const RunControl& with, Database& mirror,
               daystream::program::Repeats& said)
    : control(with), db(mirror), keeper(mirror) {
  try {
    server = std::make_unique<ControlServer>(options.mirror);
  } catch (const daystream::IoError& e) {
    // The mirror is worth more than its socket.
    const auto text =
        said.met(fmt::format("nobody can ask this process for anything: {}", e.what()));
    if (text) spdlog::warn("{}", *text);
  }
  if (!options.on_commit.empty()) feed = std::make_unique<CommitFeed>(mirror, options.on_commit);
}

SourceRun::SourceRun(Shared& shared, RunOptions options)
    : shared_(shared),
      options_(std::move(options)),
      is_remote_(!options_.daystream.directory()),
      work_(shared.db, options_, shared.control, shared.server.get(), shared.feed.get()),
      lag_(options_.daystream, options_.mirror, [this] { wake(); }),
      wake_{nudge_.fd(), work_.copies().fd()} {}

SourceRun::~SourceRun() {
  if (thread_.joinable()) thread_.join();
}

std::string SourceRun::label() const {
  return shared_.several ? fmt::format("source \"{}\": ", name()) : "";
}

void SourceRun::start() {
  error_ = nullptr;
  begun_ = ended_ = false;
  heard_ = true;
  work_.forget_failure();
  thread_ = std::jthread([this] { run(); });
}

void SourceRun::wake() noexcept {
  nudge_.wake();
}

void SourceRun::stop() noexcept {
  stopping_.request_stop();
  wake();
}

void SourceRun::hear(SourceRequest request) {
  work_.inbox().put(std::move(request));
  wake();
}

void SourceRun::hear_reload(std::shared_ptr<const MirrorConfig> config) {
  work_.inbox().put_reload(std::move(config));
  wake();
}

std::exception_ptr SourceRun::join() {
  if (thread_.joinable()) thread_.join();
  return error_;
}

bool SourceRun::is_alive() noexcept {
  return is_remote_ || ended_ || heard_.exchange(false);
}

bool SourceRun::stop_requested() noexcept {
  heard_ = true;
  shared_.turn.heard();
  return stopping_.stop_requested() || shared_.control.stop.requested();
}

void SourceRun::set_begun() noexcept {
  if (begun_.exchange(true)) return;
  shared_.news.wake();
}

void SourceRun::run() noexcept {
  try {
    follow();
  } catch (...) {
    // Given on to the thread that owns all.
    error_ = std::current_exception();
  }
  ended_ = true;
  shared_.news.wake();
}

// False: asked to stop meanwhile.
bool SourceRun::pause(std::chrono::milliseconds length) {
  const auto end = steady_clock::now() + length;
  for (auto now = steady_clock::now(); now < end; now = steady_clock::now()) {
    if (stop_requested()) return false;
    const auto nap_end = std::min<steady_clock::time_point>(end, now + kShortSleep);
    if (daystream::WaitSet{nudge_.fd()}.wait_until(nap_end)) woken();
  }
  return !stop_requested();
}

// False: asked to stop. Whoever waits for the beginning waits for this as well.
bool SourceRun::wait_while_paused() {
  if (!is_paused()) return true;
  spdlog::info("{}paused", label());
  set_begun();
  while (is_paused()) {
    if (!pause(kShortSleep)) return false;
  }
  spdlog::info("{}going on", label());
  return true;
}

// The names of tables as lines may call them next; `seen`: those that one has taken just now.
std::string SourceRun::tables_to_ask_for(const std::vector<std::string>& seen) const {
  // With an end to stop at, each commit counts, also one that has nothing for us.
  if (!is_remote_ || options_.end.until) return {};
  AskedTables asked;
  for (const MirroredTable& table : load_tables_of(shared_.db, name())) {
    if (table.is_followed()) asked.add(daystream::unescape(table.shape.line_name));
    if (!table.is_static()) asked.add(table.wish.table.sql());
  }
  for (const std::string& name : work_.copies().tables()) asked.add(name);
  for (const std::string& name : seen) asked.add(name);
  return asked.list();
}

bool may_pass(const daystream::Error& error, bool has_begun) noexcept {
  if (has_begun ? error.retryable() : error.retryable_at_first()) return true;
  const auto* const io = dynamic_cast<const daystream::IoError*>(&error);
  return io != nullptr && is_retryable(daystream::reason_of_errno(io->error_number()));
}

// A daystream that was here before and is not now: somebody moves it, or its disk is not mounted.
bool SourceRun::is_away(const daystream::Error& error) const noexcept {
  const auto* const io = dynamic_cast<const daystream::IoError*>(&error);
  return begun_ && io != nullptr && io->error_number() == ENOENT;
}

// Where all tables of the source are behind: a command to be taken as it is. What is not known here
// is how to reach the server, which libpq may have from the environment.
std::string SourceRun::what_copies() const {
  const std::string otherwise =
      "--from with the URL of a server that offers newer snapshots, or with a file that is one";
  if (shared_.several) {
    return fmt::format(
        "give source \"{}\" a \"connection\" in the configuration that \"run\" takes with "
        "--config: it copies its tables by itself then; or give \"run\" {}",
        name(), otherwise);
  }
  const std::string config =
      options_.config_file.empty() ? "" : " --config " + shell_word(options_.config_file);
  return fmt::format(
      "run: deltamirror run {}{} --daystream {} -d {} (with what else libpq needs in -d or in the "
      "environment): it copies its tables by itself; or give it, instead of -d, {}",
      shell_word(options_.mirror), config, shell_word(options_.daystream.address()),
      shell_word("dbname=" + load_checkpoint(shared_.db, name()).database), otherwise);
}

// How it goes on after what has ended the loop before.
struct SourceRun::Tries {
  daystream::program::Retries retries;
  Batches batches = Batches::Large;
  std::vector<std::string> seen;  // by which TableNotAsked has told of
  bool quiet = false;             // where it begins was said just before
};

void SourceRun::follow() {
  Tries tries;
  while (wait_while_paused()) {
    try {
      if (follow_once(tries)) return;
    } catch (const Withdrawn&) {
      tries.batches = Batches::Large;
      tries.quiet = true;
    } catch (const daystream::Error& e) {
      // The loop's statements are gone with it: the tables can be changed. Nobody follows a source
      // forever who is to end with the stream, or once tables are in place.
      if ((may_pass(e, begun_) || is_away(e)) && options_.end.waits_out_trouble()) {
        if (!wait_out(e, tries)) return;
      } else {
        take_over(e);
        tries.batches = Batches::Single;
      }
    }
  }
}

// True: all is done, or it is to stop. False: another loop is to go on, as `tries` says.
bool SourceRun::follow_once(Tries& tries) {
  auto [checkpoint, asked] = in_turn([&] {
    return std::pair(load_checkpoint(shared_.db, name()), tables_to_ask_for(tries.seen));
  });
  SourceLoop loop(*this, tries.batches, std::move(checkpoint), asked);
  loop.begin();
  try {
    loop.run(std::exchange(tries.quiet, false));
    return !is_paused() || stop_requested();
  } catch (const TableNotAsked& e) {
    // What was committed since has those before as the mirror's own.
    if (loop.committed_anything()) tries.seen.clear();
    tries.seen.push_back(e.name());
    spdlog::info("asking \"{}\" for table {} too", options_.daystream.address(), e.name());
  } catch (const daystream::Error& e) {
    // To begin well says little: on a full disk it is the first commit that fails.
    if (loop.committed_anything()) tries.retries.worked();
    // Whole transactions may have gone back with the one that failed: they are applied again one by
    // one, to fail at that very place.
    if (may_pass(e, begun_) || !loop.lost_whole_transactions()) throw;
    tries.batches = Batches::Single;
  }
  return false;
}

// False: asked to stop meanwhile.
bool SourceRun::wait_out(const daystream::Error& trouble, Tries& tries) {
  tries.batches = Batches::Large;
  // First, as the mirror may be what is not to be had.
  if (!tries.retries.failed(trouble, label())) tries.quiet = true;
  daystream::program::Notify().status(fmt::format("{}waiting: {}", label(), trouble.what()));
  remember(trouble, AfterError::Waiting);
  // A copy that is behind comes in its own time: it is not spared by longer pauses.
  if (dynamic_cast<const StreamBehind*>(&trouble) != nullptr) return pause(kBehindPause);
  const bool own = dynamic_cast<const SqliteError*>(&trouble) != nullptr;
  const auto next = tries.retries.pause();
  return pause(own ? std::min(next, kLongestOwnPause) : next);
}

// Called while `error` is handled, which it throws on where nobody takes over what is left to do.
void SourceRun::take_over(const daystream::Error& error) {
  const auto is_taken_over = [this](const daystream::Error& e) {
    remember(e, AfterError::Stopped);
    return in_turn([&] { return work_.take_over(e); });
  };
  if (dynamic_cast<const StreamGap*>(&error) != nullptr) {
    const StreamGap gap(error.what(), in_turn([&] { return what_copies(); }));
    if (!is_taken_over(gap)) throw gap;
  } else if (!is_taken_over(error)) {
    throw;
  }
}

void SourceRun::remember(const daystream::Error& error, AfterError after) {
  lag_.set_trouble(error.what());  // first, as the mirror may be what is not to be had
  in_turn([&] { remember_error(shared_.db, name(), error, after); });
}

}  // namespace deltamirror
