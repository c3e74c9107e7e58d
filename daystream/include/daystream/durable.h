// The file `durable`: up to where everything is on disk. One line of fixed length, rewritten in
// place by one pwrite after each fdatasync, so that inotify on it wakes readers (FORMAT.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "daystream/lsn.h"
#include "daystream/position.h"

namespace daystream {

struct Durable {
  Position position;             // of the last line that is on disk; its day is position.day()
  Lsn lsn;                       // of the last commit or mark at or before it
  std::uint64_t size_bytes = 0;  // of that day's file: the end of that line
  std::uint32_t chain = 0;  // the running CRC through that byte: recovery takes damage before it
                            // for an error, and cuts off what is damaged after it

  std::string text() const;                                        // the line, fixed length
  static std::optional<Durable> parse(std::string_view) noexcept;  // nullopt: torn or not ours
  // nullopt: there is none, or it was lost with the power.
  static std::optional<Durable> load(const std::filesystem::path& directory);
};

}  // namespace daystream
