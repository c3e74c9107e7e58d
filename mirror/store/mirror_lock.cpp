#include "store/mirror_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "daystream/error.h"

namespace deltamirror {

using daystream::Error;
using daystream::IoError;
using daystream::UniqueFd;

namespace {

std::string lock_path(const std::string& mirror) {
  return mirror + ".lock";
}

int written_pid(int fd) noexcept {
  char text[32] = {};
  return pread(fd, text, sizeof text - 1, 0) > 0 ? std::atoi(text) : 0;
}

}  // namespace

MirrorLock::MirrorLock(const std::string& mirror) : path_(lock_path(mirror)) {
  for (;;) {
    fd_ = UniqueFd(open(path_.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640));
    if (!fd_) throw IoError(fmt::format("could not open lock file \"{}\"", path_), errno);
    if (flock(fd_.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) {
        throw IoError(fmt::format("could not lock \"{}\"", path_), errno);
      }
      throw Error(
          fmt::format("mirror \"{}\" is in use by process {}", mirror, written_pid(fd_.get())),
          "one process at a time writes to a mirror: stop that one first");
    }
    // Another seed may have removed the file between our open and our lock.
    struct stat ours {};
    struct stat named {};
    if (fstat(fd_.get(), &ours) == 0 && stat(path_.c_str(), &named) == 0 &&
        ours.st_ino == named.st_ino && ours.st_dev == named.st_dev) {
      break;
    }
  }
  const std::string pid = fmt::format("{}\n", getpid());
  if (ftruncate(fd_.get(), 0) != 0 ||
      pwrite(fd_.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    throw IoError(fmt::format("could not write lock file \"{}\"", path_), errno);
  }
}

void MirrorLock::remove_file() noexcept {
  unlink(path_.c_str());
}

int MirrorLock::holder(const std::string& mirror) {
  const UniqueFd fd(open(lock_path(mirror).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return 0;
  if (flock(fd.get(), LOCK_SH | LOCK_NB) == 0) return 0;
  return written_pid(fd.get());
}

}  // namespace deltamirror
