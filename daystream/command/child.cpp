#include "child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "daystream/error.h"
#include "program/program.h"
#include "src/waiting.h"

namespace daystream::command {

namespace {

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Pipe make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw IoError("could not create a pipe", errno);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

void never_block(const UniqueFd& fd) {
  if (fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) throw IoError("could not set up a pipe", errno);
}

}  // namespace

Child::Child(const std::vector<std::string>& argv, Output output, int inherited) {
  Pipe in = make_pipe();
  never_block(in.write);
  Pipe out;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.read.get(), STDIN_FILENO);
  if (output == Output::Pipe) {
    out = make_pipe();
    never_block(out.read);
    posix_spawn_file_actions_adddup2(&actions, out.write.get(), STDOUT_FILENO);
  }
  // After the pipes, which may be 3 themselves.
  constexpr int kFirst = STDERR_FILENO + 1;
  if (inherited >= 0) posix_spawn_file_actions_adddup2(&actions, inherited, kFirst);
  posix_spawn_file_actions_addclosefrom_np(&actions, inherited >= 0 ? kFirst + 1 : kFirst);
  std::vector<char*> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (!std::string_view(*variable).starts_with("DAYSTREAM_TOKEN=")) {
      environment.push_back(*variable);
    }
  }
  environment.push_back(nullptr);
  // We ignore SIGPIPE, and an ignored signal stays ignored across exec. The child must not ignore
  // it.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);

  std::vector<char*> arguments;
  arguments.reserve(argv.size() + 1);
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const int error = posix_spawnp(&pid_, arguments[0], &actions, &attributes, arguments.data(),
                                 environment.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    pid_ = -1;
    throw Error(fmt::format("could not start command \"{}\": {}", argv.front(), strerror(error)),
                "give its whole path, and let this user execute it");
  }
  // It is ours until it is waited for, so that its number is nobody else's.
  end_ = UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0U)));
  if (!end_) throw IoError("could not watch the command", errno);
  input_ = std::move(in.write);
  output_ = std::move(out.read);
}

Child::~Child() {
  if (pid_ < 0) return;
  input_.reset();
  output_.reset();
  signal(SIGTERM);
  const auto give_up = std::chrono::steady_clock::now() + kGrace;
  while (end_ && !has_ended() && std::chrono::steady_clock::now() < give_up) {
    WaitSet{end_.get()}.wait_until(give_up);
  }
  if (!has_ended()) signal(SIGKILL);
  wait();
}

bool Child::has_ended() const {
  return WaitSet{end_.get()}.wait(std::chrono::milliseconds{0});
}

void Child::signal(int number) const noexcept {
  if (pid_ > 0) kill(pid_, number);
}

std::string Child::wait() {
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) continue;
  pid_ = -1;
  if (WIFSIGNALED(status)) return fmt::format("by signal {}", WTERMSIG(status));
  if (WEXITSTATUS(status) == 0) return {};
  return fmt::format("with exit code {}", WEXITSTATUS(status));
}

}  // namespace daystream::command
