#include "consumer.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "daystream/error.h"
#include "program/figures.h"
#include "src/waiting.h"

namespace daystream::command {

namespace {
constexpr std::string_view kWorking = "working";  // instead of a position
}  // namespace

Consumer::Consumer(const Setup& setup, FedChild::Output output, ConsumeProgress& progress)
    : Output(-1),
      name_(setup.command.front()),
      employer_(setup.employer),
      patience_(setup.patience),
      child_(setup.command, output, setup.lock_fd, setup.environment),
      progress_(progress) {}

void Consumer::hear() {
  char bytes[4096];
  while (!closed_ && child_.output() >= 0) {
    const ssize_t got = ::read(child_.output(), bytes, sizeof bytes);
    if (got > 0) {
      heard_.append(bytes, static_cast<std::size_t>(got));
      take_lines();
    } else if (got == 0) {
      closed_ = true;
    } else if (errno == EAGAIN) {
      return;
    } else if (errno != EINTR) {
      throw IoError("could not read from the command", errno);
    }
  }
}

void Consumer::wait_for_word(int wake_fd) {
  // Whatever it says, the caller looks again, also at its checkpoint.
  WaitSet{child_.output(), wake_fd}.wait(std::chrono::milliseconds{1000});
}

// Sleeps until `in` is readable, `out` is writable (-1: neither), the command has ended, or we are
// told to stop; then until it is to be pressed harder. False: it was killed, and has ended.
bool Consumer::wait_on(int in, int out) {
  employer_.alive();
  if (step_ < 2 && employer_.gives_up()) {
    child_.signal(SIGKILL);
    step_ = 2;
  }
  const bool stopping = employer_.stop_request().requested();
  const auto now = std::chrono::steady_clock::now();
  if (stopping && !next_step_) next_step_ = now + patience_;
  if (next_step_ && now >= *next_step_ && step_ < 2) {
    child_.signal(step_ == 0 ? SIGTERM : SIGKILL);
    ++step_;
    next_step_ = now + FedChild::kGrace;
  }
  // Children of its own may hold its output open after that.
  if (step_ == 2 && child_.has_ended()) return false;
  std::chrono::milliseconds most{1000};
  if (next_step_ && step_ < 2) {
    most = std::min(most, std::chrono::ceil<std::chrono::milliseconds>(*next_step_ - now));
  }
  // Where its output is heard, that ends with it; a signal stays readable once it has come.
  WaitSet news{in};
  news.add(out, POLLOUT);
  if (in < 0 || step_ >= 2) news.add(child_.end());
  if (!stopping) news.add(employer_.stop_request().fd());
  news.wait(most);
  return true;
}

std::string Consumer::finish() {
  child_.close_input();
  while (!closed_ && child_.output() >= 0) {
    if (!wait_on(child_.output(), -1)) break;
    hear();
    progress_.save(false);
  }
  while (!child_.has_ended()) wait_on(-1, -1);
  return child_.wait();
}

void Consumer::kill_if_given_up() {
  if (!employer_.gives_up()) return;
  child_.signal(SIGKILL);
  step_ = 2;
  ended(finish());
}

void Consumer::ended(const std::string& how) const {
  throw CommandFailed(fmt::format("command \"{}\" ended {}, with {} not acknowledged", name_,
                                  how.empty() ? "with exit code 0" : how,
                                  program::counted(progress_.pending(), "transaction")),
                      "start again: it goes on after what was acknowledged");
}

void Consumer::send(std::string_view text) {
  employer_.alive();
  while (!text.empty()) {
    const ssize_t put = ::write(child_.input(), text.data(), text.size());
    if (put >= 0) {
      text.remove_prefix(static_cast<std::size_t>(put));
      employer_.worked();
    } else if (errno == EPIPE) {
      ended(finish());
    } else if (errno == EAGAIN) {
      // Killed, it may have left its input to a child of its own, which does not read it either.
      if (!wait_on(closed_ ? -1 : child_.output(), child_.input())) ended(finish());
      hear();
    } else if (errno != EINTR) {
      throw IoError("could not write to the command", errno);
    }
  }
}

void Consumer::take_lines() {
  std::size_t begin = 0;
  for (auto end = heard_.find('\n'); end != std::string::npos; end = heard_.find('\n', begin)) {
    const std::string line = heard_.substr(begin, end - begin);
    begin = end + 1;
    employer_.worked();
    if (line == kWorking) continue;
    const auto position = Position::parse(line);
    if (!position || !progress_.acknowledge(*position)) {
      throw WrongAcknowledgement(
          fmt::format("command \"{}\" wrote \"{}\", which is no position of a transaction that "
                      "it was handed and has not acknowledged",
                      name_, line.substr(0, 60)),
          "its standard output is for acknowledgements: the C/S of a commit line, "
          "1507507200/17; other words belong on standard error");
    }
  }
  heard_.erase(0, begin);
}

}  // namespace daystream::command
