#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>

#include "calendar.h"
#include "day_file.h"
#include "daystream/error.h"
#include "daystream/line.h"
#include "place.h"
#include "write_all.h"

namespace daystream {

namespace {

std::string own_line(const std::filesystem::path& called) {
  char host[256] = "";
  if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
  std::string line = fmt::format("_pid\t{}\t_host\t", getpid());
  escape_to(line, host);
  line += "\t_program\t";
  escape_to(line, program_invocation_short_name);
  line += "\t_since\t" + utc_text(at_second(std::time(nullptr))) + "\t_path\t";
  std::error_code ignored;
  const std::filesystem::path whole = std::filesystem::absolute(called, ignored);
  escape_to(line, (ignored ? called : whole).native());
  return line + "\n";
}

LockHolder written_holder(int fd) {
  char text[8192];
  const ssize_t size = pread(fd, text, sizeof text, 0);
  std::string_view line(text, size > 0 ? static_cast<std::size_t>(size) : 0);
  line = line.substr(0, line.find('\n'));
  LockHolder holder;
  try {
    FieldCursor cursor(line);
    std::string_view key;
    std::string_view value;
    while (cursor.next(key, value)) {
      if (key == "_pid") holder.pid = std::atoi(unescape(value).c_str());
      if (key == "_host") holder.host = unescape(value);
      if (key == "_program") holder.program = unescape(value);
      if (key == "_since") holder.since = unescape(value);
      if (key == "_path") holder.called = unescape(value);
    }
  } catch (const ProtocolError&) {
    return {};  // half written: the message says "another process"
  }
  if (holder.program.empty()) return {};
  return holder;
}

}  // namespace

std::string LockHolder::text() const {
  if (pid == 0) return "another process";
  return fmt::format("{} (pid {} on {}{}, since {})", program, pid, host,
                     called.empty() ? "" : fmt::format(", as \"{}\"", called), since);
}

bool try_lock(int fd, const std::filesystem::path& file) {
  while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK) return false;
    throw IoError(fmt::format("could not lock file \"{}\"", file.string()), errno);
  }
  return true;
}

UniqueFd lock_file(const std::filesystem::path& file, const LockRequest& request) {
  UniqueFd fd;
  do {
    fd = UniqueFd(open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640));
    if (!fd) throw IoError(fmt::format("could not open lock file \"{}\"", file.string()), errno);
    if (!try_lock(fd.get(), file)) {
      throw Error(fmt::format("{} \"{}\" is in use by {}", request.what, request.called.string(),
                              written_holder(fd.get()).text()),
                  request.hint);
    }
    // Its holder may have removed the file between our open and our lock.
  } while (identity_of(file) != identity_of(fd.get()));
  const std::string line = own_line(request.called);
  if (ftruncate(fd.get(), 0) != 0 || !write_all_at(fd.get(), line, 0)) {
    // The lock holds all the same, and a full disk must not keep us from recovering: a process that
    // is refused reads "another process".
  }
  return fd;
}

LockHolder lock_holder(const std::filesystem::path& file) {
  const UniqueFd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  return fd ? written_holder(fd.get()) : LockHolder{};
}

std::optional<int> lock_owner(const std::filesystem::path& file) {
  struct stat found {};
  std::ifstream locks("/proc/locks");
  if (!locks || stat(file.c_str(), &found) != 0) return std::nullopt;
  // 1: FLOCK  ADVISORY  WRITE 1234 08:01:131083 0 EOF
  const std::string wanted =
      fmt::format("{:02x}:{:02x}:{}", major(found.st_dev), minor(found.st_dev), found.st_ino);
  for (std::string line; std::getline(locks, line);) {
    std::istringstream words(line);
    std::string number, kind, mode, access, pid, where;
    words >> number >> kind >> mode >> access >> pid >> where;
    if (kind == "FLOCK" && where == wanted) return std::atoi(pid.c_str());
  }
  return 0;
}

bool is_locked(const std::filesystem::path& file) {
  const UniqueFd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd) return flock(fd.get(), LOCK_SH | LOCK_NB) != 0;
  // Who may not open it may still see in the kernel's list that it is locked.
  return errno == EACCES && lock_owner(file).value_or(0) != 0;
}

UniqueFd lock_directory(const std::filesystem::path& directory) {
  return lock_file(directory / kLockName,
                   {"daystream", directory, "a daystream has one writer: stop that one first"});
}

std::optional<std::string> writer_of(const std::filesystem::path& directory) {
  const std::filesystem::path file = directory / kLockName;
  if (lock_owner(file).value_or(0) == 0) return std::nullopt;
  return lock_holder(file).text();
}

}  // namespace daystream
