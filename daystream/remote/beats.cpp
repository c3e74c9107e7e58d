#include "remote/beats.h"

namespace daystream::remote {

void Beats::strip(std::string_view bytes, std::string& out) {
  while (!bytes.empty()) {
    if (at_line_start_ && bytes.front() == '\n') {
      at_tail_ = true;
      bytes.remove_prefix(1);
      continue;
    }
    const auto beat = bytes.find("\n\n");
    const std::string_view part = bytes.substr(0, beat == std::string_view::npos ? beat : beat + 1);
    out.append(part);
    at_line_start_ = part.back() == '\n';
    at_tail_ = false;
    bytes.remove_prefix(part.size());
  }
}

}  // namespace daystream::remote
