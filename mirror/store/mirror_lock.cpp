#include "store/mirror_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "daystream/error.h"
#include "src/lock.h"
#include "store/mirror_file.h"

namespace deltamirror {

using daystream::Error;
using daystream::IoError;
using daystream::UniqueFd;

namespace {

constexpr const char* kHint = "one process at a time writes to a mirror: stop that one first";

UniqueFd open_itself(const std::string& mirror, int how) {
  UniqueFd fd(open(mirror.c_str(), how | O_CLOEXEC));
  if (!fd && errno != ENOENT)
    throw IoError(fmt::format("could not open mirror \"{}\"", mirror), errno);
  return fd;
}

[[noreturn]] void refuse(const std::string& mirror, int pid, const std::string& called) {
  throw Error(fmt::format("mirror \"{}\" is in use by process {}{}", mirror, pid,
                          called.empty() ? "" : fmt::format(", which calls it \"{}\"", called)),
              kHint);
}

void lock_itself(const std::string& mirror, int fd) {
  while (!daystream::lock_inode(fd)) {
    const int pid = daystream::inode_lock_holder(fd);
    if (pid == 0) continue;  // it has just let go
    refuse(mirror, pid, daystream::name_used_by(pid, daystream::identity_of(fd)));
  }
}

bool has_other_names(const std::string& mirror) {
  struct stat facts {};
  return stat(mirror.c_str(), &facts) == 0 && facts.st_nlink > 1;
}

// Whoever takes the lock writes next, also beside the file.
std::string lock_path_of_mirror(const std::string& mirror) {
  struct stat facts {};
  if (stat(mirror.c_str(), &facts) == 0) static_cast<void>(open_for_reading(mirror));
  return beside(mirror, ".lock");
}

}  // namespace

MirrorLock::MirrorLock(const std::string& mirror)
    : path_(lock_path_of_mirror(mirror)),
      fd_(daystream::lock_file(path_, {"mirror", mirror, kHint})) {
  mirror_ = open_itself(mirror, O_RDWR);
  if (!mirror_) return;
  lock_itself(mirror, mirror_.get());
  file_ = daystream::identity_of(mirror_.get());
}

void MirrorLock::remove_file() noexcept {
  unlink(path_.c_str());
}

// The file itself is asked only where another name may have led to it: to close it would end the
// locks that a Database in this process has.
int MirrorLock::holder(const std::string& mirror) {
  const std::string path = beside(mirror, ".lock");
  if (daystream::is_locked(path)) {
    const int pid = daystream::lock_holder(path).pid;
    return pid != 0 ? pid : daystream::lock_owner(path).value_or(0);
  }
  if (!has_other_names(mirror)) return 0;
  const UniqueFd fd = open_itself(mirror, O_RDONLY);
  return fd ? daystream::inode_lock_holder(fd.get()) : 0;
}

}  // namespace deltamirror
