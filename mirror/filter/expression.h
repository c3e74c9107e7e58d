// What a `where` says: its grammar and its tree, before anything is known of the table.
//
//   or      = and { OR and }
//   and     = not { AND not }
//   not     = NOT not | "(" or ")" | test
//   test    = operand comparison operand         = <> != < <= > >=, a column on one side at least
//           | column [NOT] BETWEEN literal AND literal
//           | column [NOT] IN "(" literal { "," literal } ")"
//           | column [NOT] LIKE 'pattern'
//           | column IS [NOT] NULL
//           | column                             a boolean one
//   column  = name | "Name"                      as PostgreSQL calls it
//   literal = 'text' | number | TRUE | FALSE
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace deltamirror {

enum class Comparison { Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual };

struct FilterLiteral {
  enum class Kind { Text, Number, True, False };
  Kind kind = Kind::Text;
  std::string text;  // without quotes
};

struct FilterNode {
  enum class Kind {
    And,      // of `parts`
    Or,       // of `parts`
    Not,      // of parts[0]
    Compare,  // columns[0] with columns[1] or literals[0]
    In,       // columns[0] is one of `literals`
    Like,     // columns[0] is like literals[0]
    IsNull,   // columns[0]
    Column,   // columns[0] is true
  };
  Kind kind = Kind::And;
  Comparison comparison = Comparison::Equal;
  std::vector<std::string> columns = {};
  std::vector<FilterLiteral> literals = {};
  std::vector<FilterNode> parts = {};

  // The same for all ways of writing the same tree.
  std::string text() const;
};

// Throws ConfigError that says where the text is wrong and what is allowed.
FilterNode parse_filter(std::string_view text);

std::string_view comparison_text(Comparison) noexcept;
// 'text', also where standard_conforming_strings is off.
std::string sql_text(std::string_view text);

}  // namespace deltamirror
