// How many snapshots stay, as people write it.
#pragma once

#include <optional>
#include <string_view>

namespace daystream::program {

// How many stay: the newest of each of the last `hourly` hours in which there is one, and so on.
// Weeks are ISO 8601's, all in UTC. The newest of all always stays.
struct Retention {
  unsigned last = 0;
  unsigned hourly = 0;
  unsigned daily = 0;
  unsigned weekly = 0;
  unsigned monthly = 0;
};

// `24h,7d,4w,12m`; a number alone is `last`. nullopt: not one, or nothing would be kept.
std::optional<Retention> parse_retention(std::string_view text);
inline constexpr const char* kRetentionLike = "write it like 24h,7d,4w,12m or 10";

}  // namespace daystream::program
