// Which rows of a table a mirror has: a `where`, bound to the table's columns.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "filter/comparable.h"
#include "filter/expression.h"
#include "model/shape.h"
#include "values/owned_value.h"
#include "values/types.h"

namespace deltamirror {

// Which of true, false and NULL an expression may be: more than one where values are not known.
class Truth {
 public:
  static constexpr unsigned kTrue = 1;
  static constexpr unsigned kFalse = 2;
  static constexpr unsigned kNull = 4;

  explicit constexpr Truth(unsigned set) noexcept : set_(set) {}
  constexpr bool is_true() const noexcept { return set_ == kTrue; }
  constexpr bool may_be_true() const noexcept { return (set_ & kTrue) != 0; }
  constexpr unsigned set() const noexcept { return set_; }

 private:
  unsigned set_;
};

// One expression for both databases: PostgreSQL evaluates sql() for the seed and for comparisons,
// we evaluate the same for each line of the stream, with PostgreSQL's three truth values.
//
// Immutable; names columns by attribute number, so renamed ones are followed.
class RowFilter {
 public:
  // Throws ConfigError where `text` is no expression, names a column that the table has not, or
  // compares what cannot be compared exactly; it says what to do.
  RowFilter(std::string_view text, const Shape& shape, const TypeNames& types);

  // The columns that it reads, each once.
  const std::vector<int>& attnums() const noexcept { return attnums_; }
  // `values`: by attnums(); nullptr: not known.
  Truth evaluate(const std::vector<const Value*>& values) const;
  // For a WHERE of PostgreSQL, under search_path ''. `shape` has all the columns.
  std::string sql(const Shape& shape) const;
  // The expression in one way of writing, with the columns' names in `shape`.
  std::string text(const Shape& shape) const;
  // Whether it depends on the order of characters' bytes, which is ours in UTF-8 only.
  bool needs_utf8() const noexcept { return needs_utf8_; }
  // Whether `other`, of the same text, compares in the same way.
  bool same_comparison(const RowFilter& other) const;

 private:
  struct Node {
    FilterNode::Kind kind = FilterNode::Kind::And;
    Comparison comparison = Comparison::Equal;
    Comparable type = Comparable::No;
    std::vector<int> columns = {};  // indexes into attnums_
    std::vector<OwnedValue> literals = {};
    std::vector<FilterLiteral> written = {};
    std::vector<Node> parts = {};
  };
  Node bind(const FilterNode& node, const Shape& shape, const TypeNames& types);
  int column(const std::string& name, const Shape& shape);
  Truth evaluate(const Node& node, const std::vector<const Value*>& values) const;
  std::string sql(const Node& node, const std::vector<std::string>& names) const;
  FilterNode unbound(const Node& node, const Shape& shape) const;
  static void list_types(const Node& node, std::vector<Comparable>& out);

  std::vector<int> attnums_;
  bool needs_utf8_ = false;
  Node root_;
};

}  // namespace deltamirror
