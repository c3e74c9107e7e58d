#include "line_order.h"

#include <fmt/format.h>

#include "calendar.h"
#include "daystream/error.h"

namespace daystream {

LineOrder::LineOrder(std::int64_t day, Position last, Lines lines) noexcept
    : day_begin_s_(day * kSecondsPerDay), lines_(lines), last_(last), expected_(last) {
  expected_.count_up();
}

bool LineOrder::may_follow(Position position, bool in_transaction) const noexcept {
  if (lines_ == Lines::Some) {
    return position > last_ && (!in_transaction || position.c == last_.c);
  }
  return !in_transaction && (position.c == last_.c ? position.s == last_.s + 1
                                                   : position.c > last_.c && position.s == 0);
}

// One that was not foreseen.
std::size_t LineOrder::take_other(std::string_view line, bool in_transaction) {
  const auto prefix = parse_prefix(line);
  if (!prefix) throw ProtocolError(fmt::format("not a line: \"{}\"", quoted_start(line)));
  const Position position = prefix->position;
  if (!may_follow(position, in_transaction)) {
    throw ProtocolError(fmt::format("position {} cannot follow {}", position.text(), last_.text()));
  }
  if (position.c < day_begin_s_ || position.c >= day_begin_s_ + kSecondsPerDay) {
    throw ProtocolError(fmt::format("position {} is of {}", position.text(), position.day()));
  }
  last_ = position;
  expected_.set(position);
  expected_.count_up();
  return prefix->size;
}

}  // namespace daystream
