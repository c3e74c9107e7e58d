#include "program/child.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "daystream/error.h"
#include "src/waiting.h"

namespace daystream::program {

std::string ChildEnd::text() const {
  return signal != 0 ? fmt::format("by signal {}", signal)
                     : fmt::format("with exit code {}", exit_code);
}

Child::Child(pid_t pid, Grace grace) : pid_(pid), grace_(grace) {
  // It is ours until it is waited for, so that its number is nobody else's.
  pidfd_ = UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0U)));
  if (pidfd_) return;
  const int reason = errno;
  kill(pid_, SIGKILL);
  reap(0);
  throw IoError("could not watch a program that was started", reason);
}

Child::~Child() {
  if (end()) return;
  signal(SIGTERM);
  if (grace_) {
    const auto give_up = std::chrono::steady_clock::now() + *grace_;
    while (!end() && std::chrono::steady_clock::now() < give_up) {
      WaitSet{pidfd_.get()}.wait_until(give_up);
    }
    if (!end()) signal(SIGKILL);
  }
  wait();
}

void Child::signal(int number) const noexcept {
  if (!end_) kill(pid_, number);
}

std::optional<ChildEnd> Child::end() noexcept {
  reap(WNOHANG);
  return end_;
}

ChildEnd Child::wait() noexcept {
  reap(0);
  return *end_;
}

void Child::reap(int flags) noexcept {
  if (end_) return;
  int status = 0;
  pid_t found = 0;
  do {
    found = waitpid(pid_, &status, flags);
  } while (found < 0 && errno == EINTR);
  if (found == 0) return;  // it runs
  end_ = WIFSIGNALED(status) ? ChildEnd{0, WTERMSIG(status)} : ChildEnd{WEXITSTATUS(status), 0};
}

}  // namespace daystream::program
