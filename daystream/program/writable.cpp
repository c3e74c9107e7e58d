#include "program/writable.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "daystream/error.h"
#include "src/dir.h"
#include "src/reasons.h"

namespace daystream::program {

namespace {

std::string hint_of(int error, const std::filesystem::path& folder) {
  if (error == EROFS) return "it is on a file system that is mounted read-only: name another place";
  if ((error == EACCES || error == EPERM) && geteuid() != 0) {
    return fmt::format("run this as the user that it belongs to, or give it to yours: chown {} {}",
                       geteuid(), folder.string());
  }
  return "its file system takes no new files there: name another place";
}

}  // namespace

std::filesystem::path nearest_existing(std::filesystem::path path) {
  path = std::filesystem::absolute(path).lexically_normal();
  std::error_code error;
  while (!std::filesystem::exists(path, error) && path != path.parent_path()) {
    path = path.parent_path();
  }
  return path;
}

void require_writable(const std::filesystem::path& directory) {
  const std::filesystem::path there = nearest_existing(directory);
  std::error_code ignored;
  if (!std::filesystem::is_directory(there, ignored)) {
    throw NeedsPerson(fmt::format("\"{}\" is no directory", there.string()),
                      "name another place, or move it away");
  }
  if (open_unnamed_in(there)) return;
  const int error = errno;
  if (is_no_room(error)) return;
  throw NeedsPerson(
      fmt::format("cannot write to directory \"{}\": {}", there.string(), std::strerror(error)),
      hint_of(error, there));
}

}  // namespace daystream::program
