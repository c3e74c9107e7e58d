#include "owner/own_program.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include "daystream/error.h"

namespace deltamirror {

using daystream::program::Child;

namespace {

// One that is not in the way of those that a child gets.
daystream::UniqueFd moved_up(daystream::UniqueFd fd) {
  constexpr int kAboveOurs = 10;
  daystream::UniqueFd up(fcntl(fd.get(), F_DUPFD_CLOEXEC, kAboveOurs));
  if (!up) throw daystream::IoError("could not make a descriptor", errno);
  return up;
}

// Both ends are closed by exec(): what reads it comes to its end once the program has begun.
struct BegunPipe {
  daystream::UniqueFd reads;
  daystream::UniqueFd writes;

  BegunPipe() {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) throw daystream::IoError("could not make a pipe", errno);
    reads = daystream::UniqueFd(fds[0]);
    writes = moved_up(daystream::UniqueFd(fds[1]));
  }
  void wait() {
    writes.reset();
    char nothing = 0;
    while (read(reads.get(), &nothing, 1) < 0 && errno == EINTR) {
    }
  }
};

// Only calls that are safe after fork(). dup2() makes one that exec() does not close.
void take(int fd, int as) {
  if (fd >= 0 && dup2(fd, as) < 0) _exit(127);
}

}  // namespace

daystream::UniqueFd file_in_memory() {
  daystream::UniqueFd fd(memfd_create("deltamirror", MFD_CLOEXEC));
  if (!fd) throw daystream::IoError("could not make a file in memory", errno);
  return moved_up(std::move(fd));
}

std::string whole_text(int fd) {
  std::string text;
  char part[4096];
  for (ssize_t got = 0; (got = pread(fd, part, sizeof part, static_cast<off_t>(text.size()))) > 0;)
    text.append(part, static_cast<std::size_t>(got));
  return text;
}

std::unique_ptr<Child> start_own(const std::vector<std::string>& argv, const ChildFiles& files) {
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const pid_t parent = getpid();
  BegunPipe begun;
  const pid_t pid = fork();
  if (pid < 0) throw daystream::IoError(fmt::format("could not start \"{}\"", argv[0]), errno);
  if (pid == 0) {
    // Only calls that are safe after fork().
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(1);  // it died before prctl
    take(files.out, STDOUT_FILENO);
    take(files.err, STDERR_FILENO);
    take(files.config, 3);
    take(files.words, 4);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  auto child = std::make_unique<Child>(pid, std::nullopt);
  begun.wait();
  return child;
}

std::string own_path() {
  std::error_code ignored;
  std::string path = std::filesystem::read_symlink("/proc/self/exe", ignored).string();
  constexpr std::string_view kReplaced = " (deleted)";
  if (path.ends_with(kReplaced)) path.resize(path.size() - kReplaced.size());
  return path;
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
