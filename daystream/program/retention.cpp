#include "program/retention.h"

#include "number.h"

namespace daystream::program {

std::optional<Retention> parse_retention(std::string_view text) {
  Retention keep;
  while (!text.empty()) {
    const auto comma = text.find(',');
    std::string_view part = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    if (part.empty() || (comma != std::string_view::npos && text.empty())) return std::nullopt;
    unsigned* target = &keep.last;
    if (part.back() == 'h') target = &keep.hourly;
    if (part.back() == 'd') target = &keep.daily;
    if (part.back() == 'w') target = &keep.weekly;
    if (part.back() == 'm') target = &keep.monthly;
    if (target != &keep.last) part.remove_suffix(1);
    const auto count = parse_number<unsigned>(part);
    if (!count || *count == 0 || *count > 10'000 || *target != 0) return std::nullopt;
    *target = *count;
  }
  if (keep.last + keep.hourly + keep.daily + keep.weekly + keep.monthly == 0) return std::nullopt;
  return keep;
}

}  // namespace daystream::program
