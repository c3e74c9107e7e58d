// Times as people write them, and the other ways to name a place in a daystream. Times are UTC
// where they do not say another offset.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "daystream/lsn.h"
#include "daystream/position.h"

namespace daystream::command {

// 2026-11-21 · [2026-11-21|today|yesterday] 10:15[:04[.5]][Z|+02|+02:00] (or T for the space) · now
// · -2h, 2h ago (s, min, h, d, w) · @SECONDS. nullopt: none of them.
std::optional<std::int64_t> parse_time(const std::string& text, std::int64_t now);

struct Time {
  std::int64_t seconds;
};
using When = std::variant<Time, Position, Lsn>;

// A time, a position (1507507200/17) or an LSN (0/17B1480). The number before the slash tells:
// a position's has nine digits or more, an LSN's at most eight. Throws ConfigError, naming
// `option`.
When parse_when(const std::string& option, const std::string& text, std::int64_t now);
Position parse_position(const std::string& option, const std::string& text);
Lsn parse_lsn(const std::string& option, const std::string& text);

}  // namespace daystream::command
