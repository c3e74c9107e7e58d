#include "filter/row_filter.h"

#include <fmt/format.h>

#include <algorithm>

#include "daystream/error.h"
#include "filter/literal_value.h"
#include "program/postgres.h"

namespace deltamirror {

using daystream::ConfigError;
using NodeKind = FilterNode::Kind;

namespace {

constexpr const char* kChooseAnew =
    "choose the rows by other columns: \"deltamirror remove\" the table, then seed it again";

constexpr unsigned kT = Truth::kTrue;
constexpr unsigned kF = Truth::kFalse;
constexpr unsigned kN = Truth::kNull;
constexpr unsigned kAny = kT | kF | kN;

unsigned and_one(unsigned a, unsigned b) {
  if (a == kF || b == kF) return kF;
  return a == kN || b == kN ? kN : kT;
}

unsigned negated(unsigned set) {
  return (set & kN) | ((set & kT) != 0 ? kF : 0u) | ((set & kF) != 0 ? kT : 0u);
}

// Of all that both may be.
unsigned and_all(unsigned a, unsigned b) {
  unsigned out = 0;
  for (const unsigned x : {kT, kF, kN}) {
    for (const unsigned y : {kT, kF, kN}) {
      if ((a & x) != 0 && (b & y) != 0) out |= and_one(x, y);
    }
  }
  return out;
}

bool holds(Comparison comparison, int order) {
  switch (comparison) {
    case Comparison::Equal:
      return order == 0;
    case Comparison::NotEqual:
      return order != 0;
    case Comparison::Less:
      return order < 0;
    case Comparison::LessOrEqual:
      return order <= 0;
    case Comparison::Greater:
      return order > 0;
    case Comparison::GreaterOrEqual:
      return order >= 0;
  }
  return false;
}

bool is_equality(Comparison comparison) {
  return comparison == Comparison::Equal || comparison == Comparison::NotEqual;
}

bool is_null(const Value& value) {
  return value.type == Value::Type::Null;
}

}  // namespace

RowFilter::RowFilter(std::string_view text, const Shape& shape, const TypeNames& types)
    : root_(bind(parse_filter(text), shape, types)) {}

int RowFilter::column(const std::string& name, const Shape& shape) {
  const SourceColumn* const found = shape.column_called(name);
  if (found == nullptr) {
    throw ConfigError(fmt::format("where: the table has no column \"{}\"", name),
                      "names are PostgreSQL's; a text stands in single quotes");
  }
  const auto known = std::find(attnums_.begin(), attnums_.end(), found->attnum);
  if (known != attnums_.end()) return static_cast<int>(known - attnums_.begin());
  attnums_.push_back(found->attnum);
  return static_cast<int>(attnums_.size()) - 1;
}

RowFilter::Node RowFilter::bind(const FilterNode& node, const Shape& shape,
                                const TypeNames& types) {
  Node out{.kind = node.kind, .comparison = node.comparison};
  for (const FilterNode& part : node.parts) out.parts.push_back(bind(part, shape, types));
  for (const std::string& name : node.columns) {
    out.columns.push_back(column(name, shape));
    if (node.kind == NodeKind::IsNull) continue;
    const std::string& type = shape.column(attnums_[out.columns.back()])->type;
    const Comparable comparable = comparable_of(types, type);
    if (comparable == Comparable::No) {
      throw ConfigError(
          fmt::format(
              "where: column \"{}\" is of type {}, which a mirror cannot compare exactly as "
              "PostgreSQL does",
              name, type),
          "only IS [NOT] NULL works on it: filter by another column, or in a SQLite view");
    }
    if (out.type != Comparable::No && out.type != comparable) {
      throw ConfigError(fmt::format("where: columns \"{}\" and \"{}\" are of different types",
                                    node.columns[0], name),
                        "compare each with a literal");
    }
    out.type = comparable;
  }
  if (node.kind == NodeKind::Column && out.type != Comparable::Boolean) {
    throw ConfigError(fmt::format("where: column \"{}\" is no boolean", node.columns[0]),
                      "compare it with something");
  }
  const bool is_text = out.type == Comparable::Text;
  if (node.kind == NodeKind::Like &&
      (!is_text || node.literals[0].kind != FilterLiteral::Kind::Text)) {
    throw ConfigError(
        fmt::format("where: LIKE is for columns of type text, not \"{}\"", node.columns[0]),
        "compare others with = < > IN or BETWEEN");
  }
  if (node.kind == NodeKind::Like) {
    const std::string& pattern = node.literals[0].text;
    std::size_t escapes = 0;
    while (escapes < pattern.size() && pattern[pattern.size() - 1 - escapes] == '\\') ++escapes;
    if (escapes % 2 == 1)
      throw ConfigError("where: a LIKE pattern must not end in a lone \\", "double it: \\\\");
  }
  if (node.kind == NodeKind::Compare && out.type == Comparable::TextForm &&
      !is_equality(node.comparison)) {
    throw ConfigError(fmt::format("where: the order of column \"{}\" is known to PostgreSQL only",
                                  node.columns[0]),
                      "= <> and IN compare its text");
  }
  const bool ordered = node.kind == NodeKind::Compare && !is_equality(node.comparison);
  const bool by_bytes = is_text || out.type == Comparable::BlankPadded;
  needs_utf8_ = needs_utf8_ || node.kind == NodeKind::Like || (ordered && by_bytes);
  for (const FilterLiteral& literal : node.literals) {
    out.literals.push_back(literal_value(out.type, literal));
    out.written.push_back(literal);
  }
  return out;
}

Truth RowFilter::evaluate(const std::vector<const Value*>& values) const {
  return evaluate(root_, values);
}

Truth RowFilter::evaluate(const Node& node, const std::vector<const Value*>& values) const {
  const auto value = [&](std::size_t i) { return values[node.columns[i]]; };
  const auto truth = [](bool is) { return Truth(is ? kT : kF); };
  unsigned set = 0;
  switch (node.kind) {
    case NodeKind::And:
      set = kT;
      for (const Node& part : node.parts) set = and_all(set, evaluate(part, values).set());
      return Truth(set);
    case NodeKind::Or:  // as NOT (NOT … AND NOT …)
      set = kT;
      for (const Node& part : node.parts) {
        set = and_all(set, negated(evaluate(part, values).set()));
      }
      return Truth(negated(set));
    case NodeKind::Not:
      return Truth(negated(evaluate(node.parts[0], values).set()));
    case NodeKind::IsNull:
      return value(0) == nullptr ? Truth(kT | kF) : truth(is_null(*value(0)));
    default:
      break;
  }
  const bool two = node.columns.size() == 2;
  const bool null = (value(0) != nullptr && is_null(*value(0))) ||
                    (two && value(1) != nullptr && is_null(*value(1)));
  if (null) return Truth(kN);
  if (value(0) == nullptr || (two && value(1) == nullptr)) return Truth(kAny);
  switch (node.kind) {
    case NodeKind::Column:
      return truth(value(0)->integer != 0);
    case NodeKind::In:
      return truth(std::any_of(
          node.literals.begin(), node.literals.end(),
          [&](const auto& literal) { return compare(node.type, *value(0), literal.get()) == 0; }));
    case NodeKind::Like:
      return truth(is_like(value(0)->bytes, node.literals[0].get().bytes));
    default:
      return truth(holds(node.comparison,
                         compare(node.type, *value(0), two ? *value(1) : node.literals[0].get())));
  }
}

std::string RowFilter::sql(const Shape& shape) const {
  std::vector<std::string> names;
  for (const int attnum : attnums_) {
    const SourceColumn* const column = shape.column(attnum);
    if (column == nullptr)
      throw daystream::NeedsPerson("a column of a table's where is gone", kChooseAnew);
    names.push_back(daystream::program::quote_identifier(column->name));
  }
  return sql(root_, names);
}

std::string RowFilter::sql(const Node& node, const std::vector<std::string>& names) const {
  const auto operand = [&](std::size_t i) {
    return comparable_sql(node.type, names[node.columns[i]]);
  };
  const auto literal = [&](std::size_t i) {
    return literal_sql(node.type, node.literals[i].get());
  };
  std::string out;
  switch (node.kind) {
    case NodeKind::And:
    case NodeKind::Or:
      for (const Node& part : node.parts) {
        if (!out.empty()) out += node.kind == NodeKind::And ? " AND " : " OR ";
        out += sql(part, names);
      }
      return "(" + out + ")";
    case NodeKind::Not:
      return "(NOT " + sql(node.parts[0], names) + ")";
    case NodeKind::Compare:
      return fmt::format("({} {} {})", operand(0), comparison_text(node.comparison),
                         node.columns.size() == 2 ? operand(1) : literal(0));
    case NodeKind::In:
      for (std::size_t i = 0; i < node.literals.size(); ++i) {
        out += (i == 0 ? "" : ", ") + literal(i);
      }
      return fmt::format("({} IN ({}))", operand(0), out);
    case NodeKind::Like:
      return fmt::format("({} LIKE {})", operand(0), literal(0));
    case NodeKind::IsNull:
      // Of a composite value IS NULL asks for its parts.
      return fmt::format("(pg_catalog.num_nulls({}) = 1)", names[node.columns[0]]);
    case NodeKind::Column:
      return names[node.columns[0]];
  }
  return out;
}

FilterNode RowFilter::unbound(const Node& node, const Shape& shape) const {
  FilterNode out{.kind = node.kind, .comparison = node.comparison};
  out.literals = node.written;
  for (const int column : node.columns) {
    const SourceColumn* const source = shape.column(attnums_[column]);
    if (source == nullptr)
      throw daystream::NeedsPerson("a column of a table's where is gone", kChooseAnew);
    out.columns.push_back(source->name);
  }
  for (const Node& part : node.parts) out.parts.push_back(unbound(part, shape));
  return out;
}

std::string RowFilter::text(const Shape& shape) const {
  return unbound(root_, shape).text();
}

void RowFilter::list_types(const Node& node, std::vector<Comparable>& out) {
  out.push_back(node.type);
  for (const Node& part : node.parts) list_types(part, out);
}

bool RowFilter::same_comparison(const RowFilter& other) const {
  std::vector<Comparable> mine;
  std::vector<Comparable> others;
  list_types(root_, mine);
  list_types(other.root_, others);
  return mine == others;
}

}  // namespace deltamirror
