// Times as people write them, and the other ways to name a place in a daystream. Times are UTC
// where they do not say another offset.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "daystream/lsn.h"
#include "daystream/position.h"

namespace daystream::program {

// 2026-11-21 · [2026-11-21|today|yesterday] 10:15[:04[.5]][Z|+02|+02:00] (or T for the space) · now
// · -2h, 2h ago (s, min, h, d, w) · @SECONDS. `now` and the result: since 1970, in microseconds or
// in whole seconds. nullopt: none of them.
std::optional<std::int64_t> parse_time_us(const std::string& text, std::int64_t now);
std::optional<std::int64_t> parse_time(const std::string& text, std::int64_t now);

// 2h, 30 min, 1 day (s, min, h, d, w): how many seconds. nullopt: not one.
std::optional<std::int64_t> parse_span(std::string_view text);

struct Time {
  std::int64_t seconds;
  std::int64_t micros;  // of that second
};
using When = std::variant<Time, Position, Lsn>;

// A time, a position (1507507200/17) or an LSN (0/17B1480). The number before the slash
// distinguishes them apart: that of a position has nine digits or more, that of an LSN at most
// eight. Throws ConfigError, naming `option`. `now`: seconds since 1970.
When parse_when(const std::string& option, const std::string& text, std::int64_t now);
Position parse_position(const std::string& option, const std::string& text);
Lsn parse_lsn(const std::string& option, const std::string& text);

}  // namespace daystream::program
