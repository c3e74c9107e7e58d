#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <ctime>
#include <string>

#include "calendar.h"
#include "day_file.h"
#include "daystream/error.h"
#include "daystream/line.h"

namespace daystream {

namespace {

std::string own_line() {
  char host[256] = "";
  if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
  std::string line = fmt::format("_pid\t{}\t_host\t", getpid());
  escape_to(line, host);
  line += "\t_program\t";
  escape_to(line, program_invocation_short_name);
  line += "\t_since\t" + utc_text(std::time(nullptr)) + "\n";
  return line;
}

// Who says to hold it; empty where the holder has not said yet.
std::string holder(int fd) {
  char text[1024];
  const ssize_t size = pread(fd, text, sizeof text, 0);
  std::string_view line(text, size > 0 ? static_cast<std::size_t>(size) : 0);
  line = line.substr(0, line.find('\n'));
  std::string pid;
  std::string host;
  std::string program;
  std::string since;
  try {
    FieldCursor cursor(line);
    std::string_view key;
    std::string_view value;
    while (cursor.next(key, value)) {
      if (key == "_pid") pid = unescape(value);
      if (key == "_host") host = unescape(value);
      if (key == "_program") program = unescape(value);
      if (key == "_since") since = unescape(value);
    }
  } catch (const ProtocolError&) {
    return {};  // half written: the message says "another process"
  }
  if (pid.empty() || program.empty()) return {};
  return fmt::format("{} (pid {} on {}, since {})", program, pid, host, since);
}

}  // namespace

std::string lock_holder(const std::filesystem::path& directory) {
  const UniqueFd fd(open((directory / kLockName).c_str(), O_RDONLY | O_CLOEXEC));
  return fd ? holder(fd.get()) : std::string();
}

UniqueFd lock_directory(const std::filesystem::path& directory) {
  const std::string path = (directory / kLockName).string();
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640));
  if (!fd) throw IoError(fmt::format("could not open lock file \"{}\"", path), errno);
  while (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) throw IoError(fmt::format("could not lock file \"{}\"", path), errno);
    std::string who = holder(fd.get());
    if (who.empty()) who = "another process";
    throw Error(fmt::format("daystream \"{}\" is in use by {}", directory.string(), who),
                "a daystream has one writer: stop that one first");
  }
  const std::string line = own_line();
  if (ftruncate(fd.get(), 0) != 0 ||
      pwrite(fd.get(), line.data(), line.size(), 0) != static_cast<ssize_t>(line.size())) {
    // The lock holds all the same, and a full disk must not keep us from recovering: whoever is
    // refused is told of "another process".
  }
  return fd;
}

}  // namespace daystream
