// Name patterns of the filters: `table`, `schema.table`, `fox*`, `"Odd.Name"`. Pure C++.
//
// A part is taken as it stands (no case folding, as names are stored), `*` stands for any run of
// characters, and double quotes make everything within them literal, a doubled one is one.
// Contract: noexcept, no allocation; the caller owns the storage that patterns point into.
#pragma once

#include <cstddef>
#include <string_view>

namespace deltaflood {

// No name holds a NUL, so it can stand for the wildcard in a parsed part.
inline constexpr char kAny = '\0';
inline constexpr std::size_t kMaxParts = 3;

struct Pattern {
  std::string_view parts[kMaxParts];
  std::size_t part_count = 0;
};

// Most patterns that `list` can hold: the room parse_patterns() needs.
std::size_t pattern_capacity(std::string_view list) noexcept;

struct ParsedPatterns {
  std::size_t count = 0;
  const char* problem = nullptr;  // a static text; nullptr when all is well
};

// Parses a comma-separated list of patterns of at most `max_parts` parts. `storage` has room for
// list.size() characters, `patterns` for pattern_capacity(list). With one part to a pattern, a dot
// is a character like any other.
ParsedPatterns parse_patterns(std::string_view list, std::size_t max_parts, char* storage,
                              Pattern* patterns) noexcept;

// True if `name` matches the parsed `part`.
bool part_matches(std::string_view part, std::string_view name) noexcept;

// A table pattern of one part means the schema `public`, where `_table` prints a bare name as well;
// a lone `*` means every table.
bool matches_table(const Pattern& pattern, std::string_view schema,
                   std::string_view table) noexcept;

// Column patterns: `column` (of every table), `table.column`, `schema.table.column`.
bool matches_column(const Pattern& pattern, std::string_view schema, std::string_view table,
                    std::string_view column) noexcept;

}  // namespace deltaflood
