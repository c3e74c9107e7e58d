// Walks the lines of one day file from left to right and checks every byte: positions are
// contiguous, the CRC chain holds. Reader, recovery and `daystream verify` all stand on it.
//
// A *group* is what one line with a `_crc` (commit, mark, abort, gap) ends: a transaction with its
// lines, or that line alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "daystream/line.h"
#include "daystream/position.h"
#include "dir.h"
#include "line_order.h"
#include "line_window.h"

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

  void set_limit(std::uint64_t limit) noexcept { window_.set_limit(limit); }
  std::uint64_t limit() const noexcept { return window_.limit(); }

  // After the last whole line. While in_transaction(), a group is begun and not ended.
  ScanState state() const noexcept;
  bool in_transaction() const noexcept { return in_transaction_; }
  // Bytes of a line without newline are between state().offset and the limit.
  bool half_line() const noexcept { return window_.end() > window_.at(); }
  // After the last whole group: where to go on if what follows is to be forgotten.
  const ScanState& last_group() const noexcept { return last_group_; }

 private:
  void begin_group();
  bool fill();
  void take_line(std::string_view line, Group& group);
  // The CRC of this line, whose body this is, which fits all that it covers.
  std::uint32_t checked_crc(std::string_view line, std::string_view body);
  // This line's body, without the CRC that it has, as what may end a group here.
  Change take_end(std::string_view body) const;
  void begin_file(std::string_view line, std::string_view body);
  // The running CRC with what is between it and `offset`.
  std::uint32_t chain_up_to(std::uint64_t offset) const noexcept;
  // At the line that is being taken.
  [[noreturn]] void damaged(const std::string& problem) const;

  const File& file_;
  LineWindow window_;
  LineOrder order_;
  std::optional<std::uint32_t> chain_;
  std::uint64_t chain_end_;  // the offset that chain_ covers all before
  bool in_transaction_;
  bool in_memory_ = true;    // the window has the group from its first line on
  bool group_done_ = false;  // the last call delivered one; its bytes may go
  Group current_;
  std::vector<LineSpan> lines_;
  ScanState last_group_;
};

}  // namespace daystream
