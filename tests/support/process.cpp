#include "support/process.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <system_error>

namespace support {

namespace {

[[noreturn]] void fail(const std::string& action) {
  throw std::system_error(errno, std::generic_category(), action);
}

// A file without a name, for what a child writes or reads.
Fd memory_file(const char* name) {
  Fd fd(memfd_create(name, MFD_CLOEXEC));
  if (!fd) fail("could not create a memory file");
  return fd;
}

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("could not write to a child");
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

std::string content_of(int fd) {
  std::string out;
  if (fd < 0) return out;
  char buffer[65536];
  for (;;) {
    const ssize_t n = pread(fd, buffer, sizeof buffer, static_cast<off_t>(out.size()));
    if (n <= 0) return out;
    out.append(buffer, static_cast<std::size_t>(n));
  }
}

std::vector<std::string> environment_with(
    const std::vector<std::pair<std::string, std::string>>& added) {
  std::vector<std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    bool replaced = false;
    for (const auto& [name, value] : added) {
      replaced |= text.starts_with(name) && text.substr(name.size()).starts_with('=');
    }
    if (!replaced) out.emplace_back(text);
  }
  for (const auto& [name, value] : added) out.push_back(name + "=" + value);
  return out;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

std::size_t status_bytes(pid_t pid, std::string_view key) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key)) return std::stoull(line.substr(key.size() + 1)) * 1024;
  }
  return 0;
}

// What a child is to be, once it is forked.
struct Program {
  std::vector<char*> arguments;
  std::vector<char*> environment;
  std::array<int, 3> descriptors;  // its 0, 1 and 2
};

// In a child, and only async-signal-safe calls in it: the test may have threads.
[[noreturn]] void become(const Program& program, const Process::Options& options, pid_t parent) {
  if (options.own_group) setpgid(0, 0);
  // Duplicates first: a lent descriptor may itself be 0, 1 or 2.
  std::array<int, 3> duplicates{};
  for (std::size_t i = 0; i < 3; ++i) {
    duplicates[i] = fcntl(program.descriptors[i], F_DUPFD, 3);
  }
  for (std::size_t i = 0; i < 3; ++i) {
    dup2(duplicates[i], static_cast<int>(i));
    close(duplicates[i]);
  }
  if (options.user.uid) {
    if (setgroups(0, nullptr) != 0 || setgid(options.user.gid) != 0 ||
        setuid(*options.user.uid) != 0) {
      _exit(126);
    }
  }
  if (!options.folder.empty() && chdir(options.folder.c_str()) != 0) _exit(126);
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  prctl(PR_SET_PDEATHSIG, options.death_signal);  // after setuid, which clears it
  if (getppid() != parent) _exit(126);
  execvpe(program.arguments[0], program.arguments.data(), program.environment.data());
  _exit(127);
}

}  // namespace

User User::named(const std::string& name) {
  const passwd* entry = getpwnam(name.c_str());
  if (entry == nullptr) throw std::runtime_error("there is no user \"" + name + "\"");
  return {entry->pw_uid, entry->pw_gid};
}

User User::server() {
  if (geteuid() != 0) return caller();
  const char* name = std::getenv("DELTAFLOOD_TEST_USER");
  return named(name == nullptr ? "postgres" : name);
}

Process::Process(std::vector<std::string> argv, const Options& options) : name_(argv.at(0)) {
  std::vector<std::string> env = environment_with(options.env);
  Fd child_input;
  if (options.input_pipe) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) fail("could not create a pipe");
    child_input = Fd(ends[0]);
    input_ = Fd(ends[1]);
  } else if (options.input_fd < 0) {
    child_input = memory_file("input");
    write_all(child_input.get(), options.input);
    lseek(child_input.get(), 0, SEEK_SET);
  }
  if (options.output_fd < 0) out_ = memory_file("output");
  if (options.error_fd < 0) err_ = memory_file("error");
  const Program program{pointers_to(argv),
                        pointers_to(env),
                        {options.input_fd < 0 ? child_input.get() : options.input_fd,
                         options.output_fd < 0 ? out_.get() : options.output_fd,
                         options.error_fd < 0 ? err_.get() : options.error_fd}};

  // Until the child is its own program, a signal must not run the test's handlers in it.
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ != 0) sigprocmask(SIG_SETMASK, &before, nullptr);
  if (pid_ < 0) fail("could not start \"" + name_ + "\"");
  if (pid_ == 0) become(program, options, parent);
  // By both, so that the group is there whoever comes first. (One that has got its program by now
  // has it.)
  if (options.own_group) setpgid(pid_, pid_);
  pidfd_ = Fd(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  if (!pidfd_) fail("could not watch \"" + name_ + "\"");
}

Process::~Process() {
  if (pid_ < 0 || exit_) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

Process::Process(Process&& other) noexcept
    : name_(std::move(other.name_)),
      pid_(std::exchange(other.pid_, -1)),
      exit_(other.exit_),
      pidfd_(std::move(other.pidfd_)),
      input_(std::move(other.input_)),
      out_(std::move(other.out_)),
      err_(std::move(other.err_)) {}

Process& Process::operator=(Process&& other) noexcept {
  std::swap(name_, other.name_);
  std::swap(pid_, other.pid_);
  std::swap(exit_, other.exit_);
  std::swap(pidfd_, other.pidfd_);
  std::swap(input_, other.input_);
  std::swap(out_, other.out_);
  std::swap(err_, other.err_);
  return *this;
}

bool Process::running() {
  return !wait(std::chrono::milliseconds{0});
}

void Process::signal(int number) {
  if (!exit_) kill(pid_, number);
}

void Process::signal_group(int number) {
  if (!exit_) kill(-pid_, number);
}

std::optional<Exit> Process::wait(std::chrono::milliseconds deadline) {
  if (exit_) return exit_;
  const auto end = std::chrono::steady_clock::now() + deadline;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    pollfd watched{pidfd_.get(), POLLIN, 0};
    const int ready = poll(&watched, 1, std::max(0, static_cast<int>(left.count())));
    if (ready > 0) break;
    if (ready == 0) return std::nullopt;
    if (errno != EINTR) fail("could not wait for \"" + name_ + "\"");
  }
  int status = 0;
  if (waitpid(pid_, &status, 0) != pid_) fail("could not reap \"" + name_ + "\"");
  exit_ = WIFEXITED(status) ? Exit{WEXITSTATUS(status), 0} : Exit{-1, WTERMSIG(status)};
  return exit_;
}

Exit Process::wait() {
  const std::optional<Exit> exit = wait(kPatience);
  if (!exit) {
    throw std::runtime_error("\"" + name_ + "\" did not end; it wrote: " + out() + err());
  }
  return *exit;
}

void Process::write_input(std::string_view text) {
  // The test's own SIGPIPE would kill it; a closed pipe is an exception instead.
  ::signal(SIGPIPE, SIG_IGN);
  write_all(input_.get(), text);
}

void Process::close_input() {
  input_.reset();
}

std::string Process::out() const {
  return content_of(out_.get());
}
std::string Process::err() const {
  return content_of(err_.get());
}

std::size_t Process::resident_bytes() const {
  return exit_ ? 0 : status_bytes(pid_, "VmRSS:");
}
std::size_t Process::peak_resident_bytes() const {
  return exit_ ? 0 : status_bytes(pid_, "VmHWM:");
}

Result run(std::vector<std::string> argv, const Process::Options& options,
           std::chrono::milliseconds deadline) {
  const std::string name = argv.at(0);
  Process process(std::move(argv), options);
  const std::optional<Exit> exit = process.wait(deadline);
  if (!exit) {
    throw std::runtime_error("\"" + name + "\" did not end; it wrote: " + process.out() +
                             process.err());
  }
  return {*exit, process.out(), process.err()};
}

std::string run_ok(std::vector<std::string> argv, const Process::Options& options,
                   std::chrono::milliseconds deadline) {
  std::string command;
  for (const std::string& word : argv) command += word + " ";
  Result result = run(std::move(argv), options, deadline);
  if (!result.ok()) {
    throw std::runtime_error("failed: " + command + "(exit " + std::to_string(result.exit.code) +
                             ", signal " + std::to_string(result.exit.signal) + "): " + result.out +
                             result.err);
  }
  return std::move(result.out);
}

std::string build_dir() {
  const char* given = std::getenv("DELTAFLOOD_BUILD_DIR");
  return given == nullptr ? SUPPORT_BUILD_DIR : given;
}

std::string program(const std::string& name) {
  const std::string folder = name == "daystream"     ? "daystream/command"
                             : name == "deltastream" ? "streamer"
                             : name == "deltamirror" ? "mirror"
                                                     : throw std::logic_error("no program " + name);
  return build_dir() + "/" + folder + "/" + name;
}

}  // namespace support
