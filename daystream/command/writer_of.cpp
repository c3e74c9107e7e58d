#include "writer_of.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <fstream>

#include "day_file.h"
#include "lock.h"

namespace daystream::command {

std::optional<std::string> writer_of(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / kLockName;
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return std::nullopt;
  const std::string file =
      fmt::format(" {:02x}:{:02x}:{} ", major(status.st_dev), minor(status.st_dev), status.st_ino);
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    if (line.find(" FLOCK ") == std::string::npos || line.find(file) == std::string::npos) continue;
    return lock_holder(path).text();
  }
  return std::nullopt;
}

}  // namespace daystream::command
