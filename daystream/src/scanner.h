// Walks the lines of one day file from left to right and checks every byte: positions are
// contiguous, the CRC chain holds. Reader, recovery and `daystream verify` all stand on it.
//
// A *group* is what one line with a `_crc` (commit, mark, abort, gap) ends: a transaction with its
// lines, or that line alone.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "daystream/line.h"
#include "daystream/position.h"
#include "dir.h"
#include "line_prefix.h"

namespace daystream {

// Where a scan stands: just after a line of a file.
struct ScanState {
  std::uint64_t offset = 0;            // of the next line in its file
  Position last = Position::begin();   // the line before, in this file or an earlier one
  std::optional<std::uint32_t> chain;  // running CRC up to here; nullopt: not known (the first
                                       // file that is kept), taken from that file's first mark
  bool in_transaction = false;         // the line before did not end a group
};

// Where a line is in the scanner's buffer, relative to the group's first byte.
struct LineSpan {
  std::uint32_t begin;
  std::uint32_t body;  // after the prefix
  std::uint32_t end;   // of the line, before its newline
};

struct Group {
  std::uint64_t begin = 0;       // offsets in the file: the first line, …
  std::uint64_t end_line = 0;    // …the line that ends it…
  std::uint64_t end = 0;         // …and the byte after its newline
  Position first;                // of the first line
  std::uint64_t line_count = 0;  // before the end line
  bool in_memory = true;         // `text` and `lines` hold all of it; else too large for that
  bool has_holes = false;        // its lines need not count up: each says where it stands
  const char* text = nullptr;    // the group's first byte, or, too large, the end line's
  const std::vector<LineSpan>* lines = nullptr;
  std::string_view end_whole;  // the end line as it stands, without newline
  std::string_view end_body;   // …and without prefix and `_crc`
  Position end_position;
  Change end_change;
};

// Whether positions must count up without holes. Only lines that a server has filtered have holes.
enum class Lines { All, Some };

class GroupScanner {
 public:
  // `file` is that of `day` and must outlive it. Reads up to `limit`, an offset; raising it later
  // is how to follow.
  GroupScanner(const File& file, std::int64_t day, const ScanState& from, std::uint64_t limit,
               Lines lines = Lines::All);

  // The next group; false: the limit was reached before its end line was whole. What was read so
  // far is kept, nothing is read twice. Views live until the next call.
  // Throws Corruption: also where the file ends before the limit.
  bool next(Group& group);

  void set_limit(std::uint64_t limit) noexcept { limit_ = limit; }
  std::uint64_t limit() const noexcept { return limit_; }

  // After the last whole line. While in_transaction(), a group is begun and not ended.
  ScanState state() const noexcept;
  bool in_transaction() const noexcept { return in_transaction_; }
  // Bytes of a line without newline are between state().offset and the limit.
  bool half_line() const noexcept { return size_ > at_; }
  // After the last whole group: where to go on if what follows is to be forgotten.
  const ScanState& last_group() const noexcept { return last_group_; }

 private:
  void begin_group();
  bool fill();
  void grow(std::size_t keep, std::size_t wanted);
  void take_line(std::size_t newline, Group& group);
  // Takes the position that the line begins with, which was not foreseen, and gives its size.
  std::size_t take_position(std::string_view line);
  // The CRC of the line at at_ whose body is this, which fits all that it covers.
  std::uint32_t checked_crc(std::string_view line, std::string_view body);
  // The line at at_, which has a CRC, as what may end a group here; `body` is without the CRC.
  Change take_end(std::string_view body) const;
  void begin_file(std::string_view line, std::string_view body, std::uint64_t offset);
  std::uint64_t offset_of(std::size_t index) const noexcept { return buffer_offset_ + index; }
  [[noreturn]] void damaged(std::size_t index, const std::string& problem) const;
  bool may_follow(Position position) const noexcept;

  const File& file_;
  std::int64_t day_begin_s_;
  std::uint64_t limit_;
  Lines which_;
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_;
  std::uint64_t buffer_offset_;  // in the file, of buffer_[0]
  std::size_t size_ = 0;         // bytes read into the buffer
  std::size_t at_ = 0;           // the next line begins here
  std::size_t searched_ = 0;     // no newline in [at_, searched_)
  std::size_t group_at_ = 0;     // the group's first byte, while in_memory_
  std::size_t crc_at_ = 0;       // chain_ covers what is before

  Position last_;
  LinePrefix expected_;  // of the next line, if it is of the same second
  std::optional<std::uint32_t> chain_;
  bool in_transaction_;
  bool in_memory_ = true;
  bool group_done_ = false;  // the last call delivered one; its bytes may go
  Group current_;
  std::vector<LineSpan> lines_;
  ScanState last_group_;
};

}  // namespace daystream
