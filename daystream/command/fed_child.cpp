#include "fed_child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "daystream/error.h"
#include "program/program.h"

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

// Ours but for our token, with a null pointer at its end; as long as `added` lives.
std::vector<char*> environment_with(const std::vector<std::string>& added) {
  // A program takes the first of two values that it finds.
  const auto is_replaced = [&](std::string_view variable) {
    const std::string_view name = variable.substr(0, variable.find('=') + 1);
    return std::any_of(added.begin(), added.end(),
                       [&](const std::string& other) { return other.starts_with(name); });
  };
  std::vector<char*> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (std::string_view(*variable).starts_with("DAYSTREAM_TOKEN=")) continue;
    if (!is_replaced(*variable)) environment.push_back(*variable);
  }
  for (const std::string& variable : added) {
    environment.push_back(const_cast<char*>(variable.c_str()));
  }
  environment.push_back(nullptr);
  return environment;
}

}  // namespace

FedChild::FedChild(const std::vector<std::string>& argv, Output output, int inherited,
                   const std::vector<std::string>& added) {
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
  const std::vector<char*> environment = environment_with(added);
  // What we ignore stays ignored across exec. The child must not ignore it.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  sigaddset(&defaults, SIGXFSZ);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);

  std::vector<char*> arguments;
  arguments.reserve(argv.size() + 1);
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  pid_t pid = -1;
  const int error =
      posix_spawnp(&pid, arguments[0], &actions, &attributes, arguments.data(), environment.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    const std::string what =
        fmt::format("could not start command \"{}\": {}", argv.front(), strerror(error));
    if (error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE) {
      throw Error(what, "end other programs, or raise what this one may have of them");
    }
    throw ConfigError(what, "give its whole path, and let this user execute it");
  }
  process_.emplace(pid, kGrace);
  input_ = std::move(in.write);
  output_ = std::move(out.read);
}

std::string FedChild::wait() {
  const program::ChildEnd end = process_->wait();
  return end.is_good() ? "" : end.text();
}

}  // namespace daystream::command
