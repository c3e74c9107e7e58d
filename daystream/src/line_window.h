// The lines of a file from left to right, through a buffer that holds a piece of the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

#include "dir.h"

namespace daystream {

// All offsets are those of the file.
//
// Ownership:  the file is borrowed and must outlive it. What it returns lives until the next
//             read() or give_back().
// Threads:    one.
// Invariant:  nothing is read twice, and no byte is searched twice for the end of its line.
class LineWindow {
 public:
  // Of the lines from `begin` on; reads up to `limit`, which may be raised later.
  LineWindow(const File& file, std::uint64_t begin, std::uint64_t limit);

  void set_limit(std::uint64_t limit) noexcept { limit_ = limit; }
  std::uint64_t limit() const noexcept { return limit_; }

  std::uint64_t at() const noexcept { return begin_ + at_; }     // where the next line begins
  std::uint64_t end() const noexcept { return begin_ + size_; }  // of what was read

  // The next line, without its newline. False: it is not whole yet, read() more.
  bool find_line(std::string_view& line) noexcept {
    const char* const bytes = buffer_.get();
    const void* const newline =
        searched_ < size_ ? std::memchr(bytes + searched_, '\n', size_ - searched_) : nullptr;
    if (newline == nullptr) {
      searched_ = size_;
      return false;
    }
    line = {bytes + at_, static_cast<std::size_t>(static_cast<const char*>(newline) - bytes) - at_};
    return true;
  }
  // Goes past the line that find_line() has found.
  void pass_line(std::string_view line) noexcept { at_ = searched_ = at_ + line.size() + 1; }

  // What stands there, if it was read and is kept.
  std::string_view text(std::uint64_t from, std::uint64_t to) const noexcept {
    return {buffer_.get() + (from - begin_), static_cast<std::size_t>(to - from)};
  }

  // Whether what read() adds fits a buffer of this size, if all from `keep` on is kept.
  bool fits(std::uint64_t keep) const noexcept { return end() - keep + next_read() <= capacity_; }
  // Reads more, and may let go of what is before `keep`. The buffer grows where what is kept and
  // read needs that. False: the limit is reached. Throws Corruption where the file ends before it.
  bool read(std::uint64_t keep);
  // Lets go of what is before at(), and of the memory that one huge line needed.
  void give_back();

 private:
  std::size_t next_read() const noexcept;
  void move(std::size_t keep, std::size_t capacity);

  const File& file_;
  std::uint64_t limit_;
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_;
  std::uint64_t begin_;       // of the buffer, in the file
  std::size_t size_ = 0;      // of what was read into it
  std::size_t at_ = 0;        // in the buffer: the next line
  std::size_t searched_ = 0;  // no newline in [at_, searched_)
};

}  // namespace daystream
