// Which position the next line of a day file may have.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "daystream/position.h"
#include "line_prefix.h"

namespace daystream {

// Whether positions must count up without holes. Only lines that a server has filtered have holes.
enum class Lines { All, Some };

class LineOrder {
 public:
  // Of the lines of `day` (days since 1970) that follow the one at `last`.
  LineOrder(std::int64_t day, Position last, Lines lines) noexcept;

  // Takes the position that `line` begins with, and gives the size of that prefix. Throws
  // ProtocolError where it is none, or cannot follow. Inside a transaction the second stays.
  std::size_t take(std::string_view line, bool in_transaction) {
    // The next of the same second, as most are; of a second that was of this day.
    const std::string_view expected = expected_.view();
    const bool knows_next = in_transaction || last_.c >= day_begin_s_;
    if (!knows_next || !line.starts_with(expected)) return take_other(line, in_transaction);
    ++last_.s;
    expected_.count_up();
    return expected.size();
  }

  Position last() const noexcept { return last_; }  // that was taken
  bool has_holes() const noexcept { return lines_ == Lines::Some; }

 private:
  std::size_t take_other(std::string_view line, bool in_transaction);
  bool may_follow(Position position, bool in_transaction) const noexcept;

  std::int64_t day_begin_s_;
  Lines lines_;
  Position last_;
  LinePrefix expected_;  // of the next line, if it is of the same second
};

}  // namespace daystream
