#include "program/config_text.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "daystream/error.h"
#include "daystream/unique_fd.h"
#include "src/waiting.h"

namespace daystream::program {

namespace {

constexpr std::chrono::seconds kPatience{10};
constexpr std::size_t kMostBytes = 64 << 20;

}  // namespace

// Opened without blocking: a named pipe that nobody writes would hold the program, deaf to signals.
std::string read_config_text(const std::string& file) {
  const auto refuse = [&](const std::string& why, const std::string& hint) {
    throw ConfigError(fmt::format("could not read configuration file \"{}\": {}", file, why), hint);
  };
  const UniqueFd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat found {};
  if (fd.get() < 0 || fstat(fd.get(), &found) != 0) {
    refuse(std::strerror(errno), "look at its name, and whether this user may read it");
  }
  if (S_ISDIR(found.st_mode)) refuse("it is a directory", "name the file itself");
  std::string text;
  char part[64 * 1024];
  for (;;) {
    const ssize_t size = read(fd.get(), part, sizeof part);
    if (size > 0) {
      text.append(part, static_cast<std::size_t>(size));
      if (text.size() > kMostBytes) refuse("it has more than 64 MiB", "name a configuration");
    } else if (size == 0) {
      break;
    } else if (errno == EAGAIN) {
      if (!WaitSet{fd.get()}.wait(kPatience)) {
        refuse("nobody has written to this pipe for 10 s", "look at what is to write it");
      }
    } else if (errno != EINTR) {
      refuse(std::strerror(errno), "look at its disk or network: dmesg");
    }
  }
  if (text.empty() && S_ISFIFO(found.st_mode)) {
    refuse("it is a pipe, and nobody writes to it", "name a file, or start what writes it first");
  }
  return text;
}

}  // namespace daystream::program
