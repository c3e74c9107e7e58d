// The empty lines of a response (PROTOCOL.md, "Beats"): "here ends what is durable just now".
#pragma once

#include <string>
#include <string_view>

namespace daystream::remote {

class Beats {
 public:
  // Appends `bytes` to `out` without the empty lines in them.
  void strip(std::string_view bytes, std::string& out);
  // The last byte was a beat: all that was durable when it was sent is here.
  bool at_tail() const noexcept { return at_tail_; }

 private:
  bool at_line_start_ = true;
  bool at_tail_ = false;
};

}  // namespace daystream::remote
