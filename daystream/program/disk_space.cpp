#include "program/disk_space.h"

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <system_error>

#include "program/figures.h"

namespace daystream::program {

std::optional<DiskSpace> disk_space(const std::filesystem::path& directory) noexcept {
  std::error_code error;
  std::filesystem::path path = std::filesystem::absolute(directory, error);
  if (error) return std::nullopt;
  struct statvfs info {};
  while (::statvfs(path.c_str(), &info) != 0) {
    if (path == path.parent_path()) return std::nullopt;
    path = path.parent_path();
  }
  return DiskSpace{std::uint64_t{info.f_bavail} * info.f_frsize,
                   std::uint64_t{info.f_blocks} * info.f_frsize};
}

bool has_room(const DiskSpace& space) noexcept {
  constexpr std::uint64_t kEnoughBytes = 16 << 20;
  // A twentieth of a small file system is enough for it.
  return space.free_bytes >= std::min(kEnoughBytes, space.size_bytes / 20);
}

std::string no_room_text(std::uint64_t free_bytes) {
  return fmt::format("the disk is full: {} left", bytes_text(static_cast<double>(free_bytes)));
}

std::string disk_trouble(const std::filesystem::path& directory) {
  const auto space = disk_space(directory);
  return space && !has_room(*space) ? no_room_text(space->free_bytes) : std::string();
}

}  // namespace daystream::program
