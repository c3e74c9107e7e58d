#include "daystream/position.h"

#include <fmt/format.h>

#include "calendar.h"
#include "number.h"

namespace daystream {

std::string Position::text() const {
  return fmt::format("{}/{}", c, s);
}

std::string Position::day() const {
  return day_text(day_number(c));
}

std::optional<Position> Position::parse(std::string_view text) noexcept {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto c = parse_number<std::int64_t>(text.substr(0, slash));
  const auto s = parse_number<std::uint64_t>(text.substr(slash + 1));
  if (!c || *c < 0 || !s) return std::nullopt;
  return Position{*c, *s};
}

}  // namespace daystream
