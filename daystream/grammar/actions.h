// Which kinds of change a filter lets through: `insert, delete`. One piece of code for the plugin,
// which filters, and for the streamer, which refuses before there is a slot what it would refuse.
//
// Contract: as of table_list.h.
#pragma once

#include <string_view>

namespace grammar {

enum Action : unsigned {
  kInsert = 1U << 0U,
  kUpdate = 1U << 1U,
  kDelete = 1U << 2U,
  kTruncate = 1U << 3U,
  kAllActions = kInsert | kUpdate | kDelete | kTruncate,
};

struct ParsedActions {
  unsigned actions = 0;      // of Action; 0: a word is none of them
  std::string_view unknown;  // that word
};

// Parses a comma-separated list.
ParsedActions parse_actions(std::string_view list) noexcept;

}  // namespace grammar
