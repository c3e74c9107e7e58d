#include "place.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "daystream/error.h"

namespace daystream {

namespace {

// Far behind the last byte that any of our files can have: SQLite's reach to 2^48.
constexpr off_t kLockAt = off_t{1} << 62;

// The range says who has it, as the kernel names no process for a lock of this kind: it is as long
// as the process id. All ranges have their first byte in common, so that two of them never agree.
struct flock range_of(int pid) {
  struct flock range {};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  range.l_start = kLockAt;
  range.l_len = pid;
  return range;
}

FileIdentity identity_in(const struct stat& facts) {
  return {facts.st_dev, facts.st_ino};
}

}  // namespace

std::optional<FileIdentity> identity_of(const std::filesystem::path& path) {
  struct stat facts {};
  if (stat(path.c_str(), &facts) == 0) return identity_in(facts);
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  throw IoError(fmt::format("could not look at \"{}\"", path.string()), errno);
}

FileIdentity identity_of(int fd) {
  struct stat facts {};
  if (fstat(fd, &facts) != 0) throw IoError("could not look at an open file", errno);
  return identity_in(facts);
}

std::filesystem::path real_name(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_symlink(path, ignored)) return path;
  const std::filesystem::path real = std::filesystem::weakly_canonical(path, ignored);
  return real.empty() ? path : real;
}

// A lock of the open file description: one of the process would be lost as soon as SQLite, or
// anybody here, closes another descriptor of the file.
bool lock_inode(int fd) {
  struct flock wanted = range_of(getpid());
  while (fcntl(fd, F_OFD_SETLK, &wanted) != 0) {
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EACCES) return false;
    throw IoError("could not lock the file itself", errno);
  }
  return true;
}

int inode_lock_holder(int fd) {
  struct flock found = range_of(1);
  if (fcntl(fd, F_OFD_GETLK, &found) != 0 || found.l_type == F_UNLCK) return 0;
  return static_cast<int>(found.l_len);
}

std::string name_used_by(int pid, const FileIdentity& file) {
  std::error_code ignored;
  const auto fds = std::filesystem::directory_iterator(fmt::format("/proc/{}/fd", pid), ignored);
  for (const std::filesystem::directory_entry& fd : fds) {
    struct stat facts {};
    if (stat(fd.path().c_str(), &facts) != 0 || identity_in(facts) != file) continue;
    return std::filesystem::read_symlink(fd.path(), ignored).string();
  }
  return {};
}

PlaceWatch::PlaceWatch(std::string what, std::filesystem::path path, FileIdentity was,
                       std::string hint)
    : what_(std::move(what)), path_(std::move(path)), was_(was), hint_(std::move(hint)) {}

void PlaceWatch::look() {
  const auto now = std::chrono::steady_clock::now();
  if (now - looked_ < kBetweenLooks) return;
  looked_ = now;
  look_now();
}

void PlaceWatch::look_now() const {
  if (std::string what = problem(); !what.empty()) throw NeedsPerson(what, hint_);
}

std::string PlaceWatch::problem() const {
  std::optional<FileIdentity> is;
  try {
    is = identity_of(path_);
  } catch (const IoError&) {
    return {};  // a folder that may not be entered now: nothing is known
  }
  if (is == was_) return {};
  return fmt::format("{} \"{}\" was {} while it was in use", what_, path_.string(),
                     is ? "replaced" : "deleted or moved away");
}

PlaceWatch watch_directory(const std::filesystem::path& directory) {
  return {
      "daystream", directory, identity_of(directory).value_or(FileIdentity{}),
      "end the process that writes a daystream before its directory is moved or replaced, then "
      "start it with the directory's new name; what it has written is in the one it began with"};
}

}  // namespace daystream
