// Bytes of a daystream's lines, cut anywhere, into runs that belong to one day's file each.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "daystream/position.h"

namespace daystream::remote {

// Holds back a line's beginning until the rest is there, unless the line is a long one.
class LineRuns {
 public:
  // `run` is of the day `day` (its number) and follows the run before. It ends in a line's end or
  // in the middle of a long line.
  using Take = std::function<void(std::int64_t day, std::string_view run)>;

  // Throws ProtocolError on what are no lines of a daystream.
  void feed(std::string_view bytes, const Take& take);

  bool in_line() const noexcept { return in_line_; }  // the last run ended in the middle of one
  std::size_t held_bytes() const noexcept { return held_.size(); }
  Position last() const noexcept { return last_; }  // of the last whole line that was taken

 private:
  std::string held_;
  bool in_line_ = false;
  std::int64_t day_ = 0;  // of the long line
  Position long_line_;
  Position last_ = Position::begin();
};

}  // namespace daystream::remote
