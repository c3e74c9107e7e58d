#include "up/streamer.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <ctime>
#include <optional>
#include <sstream>
#include <utility>

#include "daystream/error.h"
#include "daystream/stream.h"
#include "owner/own_program.h"
#include "program/hint.h"
#include "program/retries.h"
#include "program/stream_health.h"
#include "src/calendar.h"
#include "src/dir.h"
#include "store/checkpoint.h"
#include "store/last_events.h"
#include "up/own_stream.h"

namespace deltamirror {

using daystream::Error;
using daystream::ExitCode;
using daystream::program::ChildEnd;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

// One that ran for so long did not end for what the one before it ended for.
constexpr std::chrono::seconds kRunsWell{30};
// Ctrl-C reaches all processes at a terminal: the end of one may be seen before the signal is.
constexpr milliseconds kSignalComes{100};
constexpr int kNotStarted = 127;  // start_own()
// Between two looks whether it hangs.
constexpr milliseconds kBetweenLooks{1000};
// One that ended again and again runs well after so long.
constexpr std::chrono::seconds kSettles{10};

bool is(const ChildEnd& end, ExitCode code) {
  return end.signal == 0 && end.exit_code == static_cast<int>(code);
}

std::string label_of(const std::string& source) {
  return source.empty() ? "" : fmt::format("source \"{}\": ", source);
}

// `words`: what it has said itself of why.
std::exception_ptr error_of(const ChildEnd& end, const std::string& source,
                            const std::string& words) {
  const std::string of = label_of(source);
  if (end.signal != 0) {
    return std::make_exception_ptr(
        Error(fmt::format("{}deltastream was ended {}", of, end.text()),
              end.signal == SIGKILL ? "somebody killed it, or memory was short: dmesg tells"
                                    : "its last lines above, or a core dump, may tell why"));
  }
  if (end.exit_code == kNotStarted) {
    return std::make_exception_ptr(
        Error(of + "could not start deltastream", "install it beside deltamirror"));
  }
  std::istringstream said(words);
  std::string reason;
  std::string told_hint;
  std::getline(said, reason);
  std::getline(said, told_hint);
  const std::string message =
      fmt::format("{}deltastream ended {}{}{}", of, end.text(), reason.empty() ? "" : ": ", reason);
  const std::string hint = end.is_good()    ? "somebody has stopped it: stop \"deltamirror up\" "
                                              "instead, which ends it, too"
                           : reason.empty() ? "its last lines in the log may tell why"
                                            : told_hint;
  if (is(end, ExitCode::NeedsPerson)) {
    return std::make_exception_ptr(daystream::NeedsPerson(message, hint));
  }
  if (is(end, ExitCode::Usage)) {
    return std::make_exception_ptr(daystream::ConfigError(message, hint));
  }
  return std::make_exception_ptr(Error(message, hint));
}

}  // namespace

Streamer::Streamer(What what, daystream::Stop ending, OnFailure on_failure)
    : what_(std::move(what)),
      ending_(std::move(ending)),
      on_failure_(std::move(on_failure)),
      thread_([this] { run(); }) {
  tried_.wait();
}

Streamer::~Streamer() {
  stop();
  thread_.join();
  set_stream_trouble(what_.source, std::nullopt);
}

void Streamer::stop() noexcept {
  stopping_ = true;
  wake_.wake();
}

std::exception_ptr Streamer::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void Streamer::give_up(std::exception_ptr failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const Error& e) {
    set_stream_trouble(what_.source, LastError{timestamp_now(), e.what(),
                                               daystream::program::hint_then(
                                                   e.hint(), "SIGHUP to \"up\" starts it again"),
                                               AfterError::Stopped});
  }
  {
    const std::lock_guard lock(mutex_);
    failure_ = std::move(failure);
  }
  on_failure_(what_.source);
}

std::optional<ChildEnd> Streamer::run_once() {
  const daystream::UniqueFd words = file_in_memory();
  started_ = steady_clock::now();
  words_.clear();
  hangs_ = false;
  const auto child = [&] {
    struct Tried {
      Streamer& streamer;
      ~Tried() {
        std::call_once(streamer.told_, [this] { streamer.tried_.count_down(); });
      }
    } const tried{*this};
    std::vector<std::string> command = what_.command;
    command.insert(command.begin() + 1, {"--last-words", "/dev/fd/4"});
    return start_own(command, {.words = words.get()});
  }();
  for (;;) {
    if (const auto end = child->end()) {
      words_ = whole_text(words.get());
      return end;
    }
    if (stopping_) return std::nullopt;
    look_at(*child);
    daystream::WaitSet{child->fd(), wake_.fd()}.wait(kBetweenLooks);
  }
}

// By its status file, which it replaces as long as it lives, also while it waits for a server.
void Streamer::look_at(const daystream::program::Child& child) {
  const auto told = [this]() -> std::shared_ptr<const nlohmann::ordered_json> {
    try {
      return daystream::program::read_streamer_status(*daystream::real_dir(what_.directory));
    } catch (const Error&) {
      return nullptr;  // there is no directory yet
    }
  }();
  if (!told) return;
  const auto runs = steady_clock::now() - started_;
  const std::int64_t now = std::time(nullptr);
  const auto health = daystream::program::streamer_health(told, now);
  if (health.pid != child.pid()) {
    // Another one's: of ours there is none yet.
    if (runs > std::chrono::seconds(daystream::program::kStreamerSilentS)) set_hangs(child, now);
    return;
  }
  if (!health.fresh) return set_hangs(child, health.heard_s);
  if (std::exchange(hangs_, false)) {
    spdlog::info("{}deltastream goes on", label_of(what_.source));
    set_stream_trouble(what_.source, std::nullopt);
  }
  // What ends again and again is not well as soon as it has begun.
  if (ends_ == 0 || !health.is_written || (ends_ > 1 && runs < kSettles)) return;
  ends_ = 0;
  set_stream_trouble(what_.source, std::nullopt);
}

void Streamer::set_hangs(const daystream::program::Child& child, std::int64_t since_s) {
  if (std::exchange(hangs_, true)) return;
  const daystream::Moment since = daystream::at_second(since_s);
  const std::string what =
      fmt::format("deltastream (process {}) hangs: it is there, and says nothing", child.pid());
  const std::string hint = fmt::format(
      "look at its disk; \"kill -CONT {0}\" lets it go on where somebody has stopped it, \"kill "
      "-KILL {0}\" ends it, and \"up\" starts it again",
      child.pid());
  spdlog::warn("{}", daystream::program::with_hint(label_of(what_.source) + what, hint));
  set_stream_trouble(what_.source,
                     LastError{daystream::timestamp_text(since), what, hint, AfterError::Waiting});
}

// Also where the next try runs by now, until it is known to run well.
void Streamer::say_end(const Error& error) {
  if (steady_clock::now() - started_ >= kRunsWell) ends_ = 0;
  if (++ends_ == 1) first_end_ = timestamp_now();
  const std::string label = label_of(what_.source);
  std::string what = error.what();
  if (what.starts_with(label)) what.erase(0, label.size());
  if (ends_ > 1) what = fmt::format("deltastream has ended {} times, at last so: {}", ends_, what);
  set_stream_trouble(what_.source, LastError{first_end_, what,
                                             daystream::program::hint_then(
                                                 error.hint(), "\"up\" starts it again by itself"),
                                             AfterError::Waiting});
}

bool Streamer::is_over(const ChildEnd& end) const {
  if (is(end, ExitCode::NeedsPerson) || is(end, ExitCode::Usage)) return true;
  if (end.is_good() || end.signal != 0) return false;
  // What fails from the first fails again.
  return slot_in(what_.directory).empty() || !daystream::Stream(what_.directory).extent();
}

// False: asked to stop meanwhile.
bool Streamer::pause(milliseconds length) const {
  const auto end = steady_clock::now() + length;
  while (!stops() && steady_clock::now() < end) {
    daystream::WaitSet{wake_.fd()}.wait_until(std::min(end, steady_clock::now() + kSignalComes));
  }
  return !stops();
}

void Streamer::run() {
  daystream::program::Retries retries;
  do {
    const auto started = steady_clock::now();
    std::exception_ptr failed;
    bool over = false;
    try {
      const auto end = run_once();
      if (!end || !pause(kSignalComes)) return;
      failed = error_of(*end, what_.source, words_);
      over = is_over(*end);
    } catch (const Error&) {
      failed = std::current_exception();  // a process more than this user may have, say
    }
    if (over) return give_up(failed);
    if (steady_clock::now() - started >= kRunsWell) retries.worked();
    try {
      std::rethrow_exception(failed);
    } catch (const Error& e) {
      say_end(e);
      retries.failed(e);
    }
  } while (pause(retries.pause()));
}

}  // namespace deltamirror
