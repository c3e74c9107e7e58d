#include "up/streamer.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <utility>

#include "daystream/error.h"
#include "daystream/stream.h"
#include "owner/own_program.h"
#include "program/hint.h"
#include "program/retries.h"
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

bool is(const ChildEnd& end, ExitCode code) {
  return end.signal == 0 && end.exit_code == static_cast<int>(code);
}

std::exception_ptr error_of(const ChildEnd& end, const std::string& source) {
  const std::string of = source.empty() ? "" : fmt::format("source \"{}\": ", source);
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
  const std::string message = fmt::format("{}deltastream ended {}", of, end.text());
  const std::string hint = end.is_good() ? "somebody has stopped it: stop \"deltamirror up\" "
                                           "instead, which ends it, too"
                                         : "what it says above is the reason";
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
  {
    const std::lock_guard lock(mutex_);
    failure_ = std::move(failure);
  }
  on_failure_(what_.source);
}

std::optional<ChildEnd> Streamer::run_once() {
  const auto child = [this] {
    struct Tried {
      Streamer& streamer;
      ~Tried() {
        std::call_once(streamer.told_, [this] { streamer.tried_.count_down(); });
      }
    } const tried{*this};
    return start_own(what_.command);
  }();
  for (;;) {
    if (const auto end = child->end()) return end;
    if (stopping_) return std::nullopt;
    daystream::WaitSet{child->fd(), wake_.fd()}.wait(daystream::WaitSet::kForEver);
  }
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
      failed = error_of(*end, what_.source);
      over = is_over(*end);
    } catch (const Error&) {
      failed = std::current_exception();  // a process more than this user may have, say
    }
    if (over) return give_up(failed);
    if (steady_clock::now() - started >= kRunsWell) retries.worked();
    try {
      std::rethrow_exception(failed);
    } catch (const Error& e) {
      retries.failed(e);
    }
  } while (pause(retries.pause()));
}

}  // namespace deltamirror
