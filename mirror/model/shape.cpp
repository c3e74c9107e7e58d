#include "model/shape.h"

#include <fmt/format.h>

#include <algorithm>

#include "daystream/error.h"
#include "src/number.h"

namespace deltamirror {

namespace {

constexpr std::string_view kLabel = "_label_";
constexpr std::string_view kType = "_type_";

int attribute_number(std::string_view text) {
  const auto number = daystream::parse_number<int>(text);
  if (!number) {
    throw daystream::ProtocolError(
        fmt::format("a schema line has \"{}\" for an attribute number", text));
  }
  return *number;
}

}  // namespace

std::vector<int> parse_attribute_numbers(std::string_view list) {
  std::vector<int> numbers;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    numbers.push_back(attribute_number(list.substr(0, comma)));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return numbers;
}

std::vector<std::pair<int, std::uint32_t>> parse_column_types(std::string_view list) {
  std::vector<std::pair<int, std::uint32_t>> types;
  while (!list.empty()) {
    const std::string_view item = list.substr(0, list.find(','));
    list.remove_prefix(std::min(item.size() + 1, list.size()));
    const std::size_t colon = std::min(item.find(':'), item.size());
    const std::string_view digits = item.substr(std::min(colon + 1, item.size()));
    const auto oid = daystream::parse_number<std::uint32_t>(digits);
    if (!oid) {
      throw daystream::ProtocolError(
          fmt::format("a schema line has \"{}\" for the type of a column", item));
    }
    types.emplace_back(attribute_number(item.substr(0, colon)), *oid);
  }
  return types;
}

const SourceColumn* Shape::column(int attnum) const noexcept {
  for (const SourceColumn& column : columns) {
    if (column.attnum == attnum) return &column;
  }
  return nullptr;
}

const SourceColumn* Shape::column_called(const std::string& name) const noexcept {
  for (const SourceColumn& column : columns) {
    if (column.name == name) return &column;
  }
  return nullptr;
}

const std::vector<int>& Shape::row_key() const noexcept {
  static const std::vector<int> kNone;
  if (identity == 'i') return identity_key;
  if (identity == 'n') return kNone;
  return primary_key;
}

// NOLINTNEXTLINE(readability-function-size): one branch a key
SchemaLine parse_schema(const daystream::Change& change) {
  SchemaLine line;
  Shape& shape = line.shape;
  shape.oid = change.oid;
  shape.line_name = change.table;
  shape.primary_key = parse_attribute_numbers(change.primary_key);
  // `_ikey` names what old rows hold, which is the primary key unless an index is chosen.
  if (change.identity == "i") shape.identity_key = parse_attribute_numbers(change.identity_key);
  if (change.oid == 0 || change.table.empty() || change.identity.size() != 1) {
    throw daystream::ProtocolError("a schema line lacks _table, _oid or _identity");
  }
  shape.identity = change.identity.front();

  constexpr std::string_view kMissing = "_missing_";
  std::vector<std::pair<int, std::uint32_t>> types;
  std::string_view key;
  std::string_view value;
  for (daystream::FieldCursor cursor{change.leading_fields}; cursor.next(key, value);) {
    if (key.starts_with(kLabel) || key.starts_with(kType)) {
      line.facts.insert_or_assign(std::string(key), daystream::unescape(value));
    }
    if (key == "_types") types = parse_column_types(value);
    if (!key.starts_with(kMissing)) continue;
    std::optional<std::string> missing;
    if (value != daystream::kNull) missing = daystream::unescape(value);
    line.missing.emplace_back(attribute_number(key.substr(kMissing.size())), std::move(missing));
  }
  for (daystream::FieldCursor columns{change.columns}; columns.next(key, value);) {
    SourceColumn column;
    column.name = daystream::unescape(key);
    std::string text = daystream::unescape(value);
    const std::size_t space = text.find(' ');
    if (space == std::string::npos) {
      throw daystream::ProtocolError(
          fmt::format("a schema line has \"{}\" for column \"{}\"", text, column.name));
    }
    column.attnum = attribute_number(std::string_view(text).substr(0, space));
    column.type = text.substr(space + 1);
    constexpr std::string_view kNotNull = " not null";
    if (column.type.ends_with(kNotNull)) {
      column.type.resize(column.type.size() - kNotNull.size());
      column.not_null = true;
    }
    for (const auto& [attnum, oid] : types) {
      if (attnum == column.attnum) column.type_oid = oid;
    }
    shape.columns.push_back(std::move(column));
  }
  std::sort(shape.columns.begin(), shape.columns.end(),
            [](const SourceColumn& a, const SourceColumn& b) { return a.attnum < b.attnum; });
  const auto twice = std::adjacent_find(
      shape.columns.begin(), shape.columns.end(),
      [](const SourceColumn& a, const SourceColumn& b) { return a.attnum == b.attnum; });
  if (twice != shape.columns.end()) {
    throw daystream::ProtocolError(
        fmt::format("a schema line has two columns of number {}", twice->attnum));
  }
  return line;
}

std::string difference(const Shape& from, const Shape& to) {
  std::vector<std::string> found;
  if (from.oid != to.oid) found.push_back(fmt::format("OID {} is now {}", from.oid, to.oid));
  if (from.line_name != to.line_name) {
    found.push_back(fmt::format("{} is now called {}", from.line_name, to.line_name));
  }
  for (const SourceColumn& column : from.columns) {
    const SourceColumn* now = to.column(column.attnum);
    if (now == nullptr) {
      found.push_back(fmt::format("column \"{}\" is gone", column.name));
    } else if (now->name != column.name) {
      found.push_back(fmt::format("column \"{}\" is now \"{}\"", column.name, now->name));
    } else if (now->type != column.type) {
      found.push_back(
          fmt::format("column \"{}\" is now {}, was {}", column.name, now->type, column.type));
    } else if (now->type_oid != column.type_oid) {
      found.push_back(
          fmt::format("column \"{}\" is of another type called {}", column.name, now->type));
    }
  }
  for (const SourceColumn& column : to.columns) {
    if (from.column(column.attnum) == nullptr) {
      found.push_back(fmt::format("column \"{}\" {} is new", column.name, column.type));
    }
  }
  if (from.identity != to.identity) {
    found.push_back(fmt::format("replica identity is now {}, was {}", to.identity, from.identity));
  }
  if (from.primary_key != to.primary_key || from.identity_key != to.identity_key) {
    found.push_back("its key is another");
  }
  return fmt::format("{}", fmt::join(found, ", "));
}

}  // namespace deltamirror
