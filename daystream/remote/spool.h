// Keeps what came from a server and was not yet read in a file without a name, so that a
// transaction of any size can be gone through twice and takes no memory.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dir.h"

namespace daystream::remote {

// Holds lines of days, one after the other. The offsets of a day begin at 0. Those of the first day
// begin at kInside if the day was not begun with its first line.
//
// Threads: one. Files that were opened stay good while the Spool lives.
class Spool {
 public:
  static constexpr std::uint64_t kInside = 1;

  // In $TMPDIR, or where temporary files go. Throws IoError.
  Spool();
  ~Spool();

  // Begins a day; `inside`: not with its first line.
  void begin_day(std::int64_t day, bool inside);
  void append(std::string_view bytes);  // to the last day
  // Everything that was appended since the last call is whole lines.
  void end_line();
  void drop_half_line();  // forgets what was appended since end_line()

  std::vector<std::int64_t> days() const;
  // The last day that has begun, and the offset in it where its last whole line ends.
  std::int64_t last_day() const { return days_.back()->day; }
  std::uint64_t last_end() const { return days_.back()->size(); }
  bool empty() const noexcept { return days_.empty(); }

  std::unique_ptr<File> open(std::int64_t day, const std::string& name) const;
  // Gives back the room of what is before `offset` of `day`.
  void release(std::int64_t day, std::uint64_t offset);
  // Whole lines from `offset` of `day` on.
  std::uint64_t bytes_from(std::int64_t day, std::uint64_t offset) const;

  struct Storage;
  struct Day {
    std::int64_t day;
    std::uint64_t base;   // offset of its first byte here
    std::uint64_t begin;  // that byte's place in the storage
    std::uint64_t end;    // of its whole lines, in the storage

    std::uint64_t size() const noexcept { return base + (end - begin); }
  };

 private:
  std::shared_ptr<const Day> find(std::int64_t day) const;

  std::shared_ptr<Storage> storage_;
  std::deque<std::shared_ptr<Day>> days_;
  std::uint64_t size_ = 0;      // appended in all
  std::uint64_t whole_ = 0;     // through the last whole line
  std::uint64_t released_ = 0;  // given back to the file system
};

}  // namespace daystream::remote
