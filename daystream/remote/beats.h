// The beats of a response (PROTOCOL.md, "Beats"), which are no lines of a daystream: an empty line,
// "here ends what is durable just now", and a line of one TAB, "nothing for you yet, I read on".
#pragma once

#include <string>
#include <string_view>

namespace daystream::remote {

class Beats {
 public:
  // Appends `bytes`, which may be cut anywhere, to `out` without the beats in them.
  void strip(std::string_view bytes, std::string& out);
  // The last byte was that of an empty line: everything that was durable when it was sent has come.
  bool at_tail() const noexcept { return at_tail_; }

 private:
  bool at_line_start_ = true;
  bool in_beat_ = false;  // after the TAB of one
  bool at_tail_ = false;
};

}  // namespace daystream::remote
