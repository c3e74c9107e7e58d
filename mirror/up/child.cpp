#include "up/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "daystream/error.h"

namespace deltamirror {

namespace {

// Both ends are closed by exec(): what reads it comes to its end once the program has begun.
struct BegunPipe {
  daystream::UniqueFd reads;
  daystream::UniqueFd writes;

  BegunPipe() {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) throw daystream::IoError("could not make a pipe", errno);
    reads = daystream::UniqueFd(fds[0]);
    writes = daystream::UniqueFd(fds[1]);
  }
  void wait() {
    writes.reset();
    char nothing = 0;
    while (read(reads.get(), &nothing, 1) < 0 && errno == EINTR) {
    }
  }
};

}  // namespace

Child::Child(const std::vector<std::string>& argv) {
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const pid_t parent = getpid();
  BegunPipe begun;
  pid_ = fork();
  if (pid_ < 0) throw daystream::IoError(fmt::format("could not start \"{}\"", argv[0]), errno);
  if (pid_ == 0) {
    // Only calls that are safe after fork().
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(1);  // it died before prctl
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  pidfd_ = daystream::UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  if (!pidfd_) {
    const int reason = errno;
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
    throw daystream::IoError(fmt::format("could not watch \"{}\"", argv[0]), reason);
  }
  // Before that it has our locks, and our handlers, with which a signal to end would be lost.
  begun.wait();
}

Child::~Child() {
  if (exit_code()) return;
  kill(pid_, SIGTERM);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

std::optional<int> Child::exit_code() {
  if (exit_code_) return exit_code_;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return exit_code_;
}

std::string find_program(const std::string& name) {
  std::error_code ignored;
  const auto here = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
  const std::string folder = name == "deltastream" ? "streamer" : "daystream";
  for (const auto& path : {here / name, here.parent_path() / folder / name}) {
    if (access(path.c_str(), X_OK) == 0 && !std::filesystem::is_directory(path, ignored)) {
      return path.string();
    }
  }
  return name;
}

}  // namespace deltamirror
