// Room on the file system of a directory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace daystream::program {

struct DiskSpace {
  std::uint64_t free_bytes = 0;  // for us, without what is reserved for root
  std::uint64_t size_bytes = 0;
};

// Of `directory`, or of the nearest parent that exists. nullopt: it cannot be asked.
std::optional<DiskSpace> disk_space(const std::filesystem::path& directory) noexcept;

// Whether a writer may go on after the disk was full: with less than this it would be full again
// within the next moment, and PostgreSQL would be held up each time.
bool has_room(const DiskSpace& space) noexcept;

// That there is none, in words. A write says so too, but only when there is something to write.
std::string no_room_text(std::uint64_t free_bytes);
// The same of the file system of `directory`; empty: there is room, or it cannot be asked.
std::string disk_trouble(const std::filesystem::path& directory);

}  // namespace daystream::program
