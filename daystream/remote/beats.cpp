#include "remote/beats.h"

#include <algorithm>

namespace daystream::remote {

void Beats::strip(std::string_view bytes, std::string& out) {
  while (!bytes.empty()) {
    const char first = bytes.front();
    // No line of a daystream begins with either.
    if (at_line_start_ && (first == '\n' || first == '\t')) {
      at_tail_ = first == '\n' && !in_beat_;
      in_beat_ = first == '\t';
      bytes.remove_prefix(1);
      continue;
    }
    const auto beat = std::min(bytes.find("\n\n"), bytes.find("\n\t"));
    const std::string_view part = bytes.substr(0, beat == std::string_view::npos ? beat : beat + 1);
    out.append(part);
    at_line_start_ = part.back() == '\n';
    in_beat_ = false;
    at_tail_ = false;
    bytes.remove_prefix(part.size());
  }
}

}  // namespace daystream::remote
