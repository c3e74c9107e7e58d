// Lists of names as filters take them: `flights, ops.*, "Odd.Name"`. One grammar and one piece of
// code for the plugin, which decides what a stream holds, and for all who read it, who must know
// what it decided (FORMAT.md, "Table lists").
//
// Contract: noexcept, no allocation, nothing but the standard library; the caller owns the storage
// that patterns point into.
#pragma once

#include <cstddef>
#include <string_view>

namespace grammar {

// No name holds a NUL, so it can stand for the wildcard in a parsed part.
inline constexpr char kAny = '\0';
inline constexpr std::size_t kMaxParts = 3;

enum class ListOf : unsigned char {
  Tables,   // `table` of schema public, `schema.table`; `*` alone is every table of every schema
  Columns,  // `column` of every table, `table.column` of schema public, `schema.table.column`
  Texts,    // no names of SQL: nothing folds, dots and spaces within are as any character
};

// Parts of a table's pattern: schema and table; of a column's: schema, table, column; of a text's:
// one.
struct Pattern {
  std::string_view parts[kMaxParts];
  std::string_view text;  // as it stands in the list, which is pointed into
};

// The most patterns that `list` can hold: the room that parse_list() needs.
std::size_t pattern_capacity(std::string_view list) noexcept;

struct ParsedList {
  std::size_t count = 0;
  const char* problem = nullptr;  // a static text; nullptr when all is well
};

// Parses a comma-separated list. `storage` has room for list.size() characters, `patterns` for
// pattern_capacity(list).
ParsedList parse_list(std::string_view list, ListOf what, char* storage,
                      Pattern* patterns) noexcept;

// A table's name as `_table` spells it, or as SQL does: bare in schema public. False: it is no such
// name, or it has a wildcard. `storage` has room for name.size() characters.
bool parse_table_name(std::string_view name, char* storage, std::string_view& schema,
                      std::string_view& table) noexcept;

bool part_matches(std::string_view part, std::string_view name) noexcept;
bool matches_table(const Pattern& pattern, std::string_view schema,
                   std::string_view table) noexcept;
bool matches_column(const Pattern& pattern, std::string_view schema, std::string_view table,
                    std::string_view column) noexcept;

// Whether every table that `narrow` matches is matched by `wide`; never true where it is not so.
bool covers_table(const Pattern& wide, const Pattern& narrow) noexcept;

}  // namespace grammar
