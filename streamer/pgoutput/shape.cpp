#include "pgoutput/shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "daystream/error.h"
#include "daystream/line.h"
#include "src/number.h"

namespace deltastream::pgoutput {

using daystream::ProtocolError;
using daystream::Untold;
using nlohmann::json;

namespace {

// Mirrors know the number, too (daystream/FORMAT.md#types).
constexpr std::uint32_t kFirstChangeable = 12'000;

char letter(const json& document, const char* key, char otherwise) {
  const std::string text = document.value(key, std::string());
  return text.empty() ? otherwise : text[0];
}

// An OID, which to_jsonb() makes a string.
std::uint32_t oid_of(const json& value) {
  if (value.is_number_unsigned()) return value.get<std::uint32_t>();
  const auto number = daystream::parse_number<std::uint32_t>(value.get<std::string>());
  if (!number) throw ProtocolError("a shape in deltaflood.ddl has an OID that is no number");
  return *number;
}

std::vector<std::uint32_t> oids(const json& document, const char* key) {
  std::vector<std::uint32_t> out;
  for (const json& value : document.value(key, json::array())) out.push_back(oid_of(value));
  return out;
}

// Of a publication that has the table. nullopt: it has all of its changes.
std::optional<Untold> why_partly(const json& publication) {
  if (publication.value("actions", std::string()) != "iudt") return Untold::Actions;
  if (publication.value("via_root", false)) return Untold::ViaRoot;
  if (publication.contains("filtered")) return Untold::RowFilter;
  if (publication.contains("columns")) return Untold::Columns;
  return std::nullopt;
}

std::optional<Untold> why_untold(const json& publications, const std::string& name) {
  std::optional<Untold> why = Untold::NotThere;
  for (const json& publication : publications) {
    if (publication.at("name") != name) continue;
    why = why_partly(publication);
    if (!why) return std::nullopt;
  }
  return why;
}

template <typename T>
std::vector<T> list(const json& document, const char* key) {
  return document.value(key, std::vector<T>());
}

ShapeColumn parse_column(const json& document) {
  ShapeColumn column;
  column.number = document.at("n").get<int>();
  column.name = document.at("name").get<std::string>();
  column.type = document.at("type").get<std::string>();
  column.type_oid = oid_of(document.at("oid"));
  column.typmod = document.value("mod", -1);
  column.not_null = document.value("not_null", false);
  column.generated = document.contains("generated");
  if (document.contains("missing")) {
    column.missing = document.at("missing").get<std::string>();
    if (column.type_oid == kBoolType) column.missing = *column.missing == "t" ? "1" : "0";
  }
  return column;
}

ShapeType parse_type(const json& document) {
  ShapeType type;
  type.is = document.at("is").get<std::string>();
  type.made_of = oids(document, "made_of");
  for (const json& label : document.value("labels", json::array())) {
    type.labels.emplace_back(oid_of(label.at(0)), label.at(1).get<std::string>());
  }
  return type;
}

Shape parse(const json& document, const std::string& publication) {
  Shape shape;
  shape.oid = oid_of(document.at("oid"));
  shape.kind = letter(document, "kind", 'r');
  shape.persistence = letter(document, "persistence", 'p');
  shape.identity = letter(document, "identity", 'd');
  shape.schema = document.at("schema").get<std::string>();
  shape.table = document.at("name").get<std::string>();
  shape.line_name = document.at("table").get<std::string>();
  const auto ancestors = oids(document, "ancestors");
  if (!ancestors.empty()) shape.root = ancestors.back();
  shape.published = !why_untold(document.value("publications", json::array()), publication);
  shape.primary_key = list<int>(document, "pkey");
  shape.identity_key = list<int>(document, "ikey");
  for (const json& column : document.at("columns")) shape.columns.push_back(parse_column(column));
  for (const json& type : document.value("types", json::array())) {
    shape.types[oid_of(type.at("oid"))] = parse_type(type);
  }
  return shape;
}

bool contains(const std::vector<int>& numbers, int number) {
  return std::find(numbers.begin(), numbers.end(), number) != numbers.end();
}

bool is_sent(const ShapeColumn& column, const Relation* sent) {
  if (!column.generated) return true;
  return sent != nullptr && std::any_of(sent->columns.begin(), sent->columns.end(),
                                        [&](const auto& c) { return c.name == column.name; });
}

void append_numbers(std::string& out, std::string_view key, const std::vector<int>& numbers) {
  out += fmt::format("\t{}\t{}", key, fmt::join(numbers, ","));
}

// What is not PostgreSQL's own, and in depth what that is made of, each once.
void append_type(std::string& out, const Shape& shape, std::uint32_t oid,
                 std::set<std::uint32_t>& told) {
  const auto found = shape.types.find(oid);
  if (found == shape.types.end() || !told.insert(oid).second) return;
  const ShapeType& type = found->second;
  out += fmt::format("\t_type_{}\t", oid);
  daystream::escape_to(out, type.is);
  for (const auto& [label, text] : type.labels) {
    out += fmt::format("\t_label_{}_{}\t", oid, label);
    daystream::escape_to(out, text);
  }
  if (oid < kFirstChangeable) return;
  for (const std::uint32_t part : type.made_of) append_type(out, shape, part, told);
}

void append_types(std::string& out, const Shape& shape,
                  const std::vector<const ShapeColumn*>& columns) {
  std::string list;
  for (const ShapeColumn* column : columns) {
    if (column->type_oid < kFirstChangeable) continue;
    list += fmt::format("{}{}:{}", list.empty() ? "" : ",", column->number, column->type_oid);
  }
  if (list.empty()) return;
  out += "\t_types\t" + list;
  std::set<std::uint32_t> told;
  for (const ShapeColumn* column : columns) {
    if (column->type_oid >= kFirstChangeable) append_type(out, shape, column->type_oid, told);
  }
}

}  // namespace

std::vector<int> generated_columns(const Shape& shape) {
  std::vector<int> out;
  for (const ShapeColumn& column : shape.columns) {
    if (column.generated) out.push_back(column.number);
  }
  return out;
}

bool has_come_to_be_told(const Shape& before, const Shape& now) {
  const std::vector<int> untold = generated_columns(before);
  return std::any_of(now.columns.begin(), now.columns.end(), [&](const ShapeColumn& column) {
    return !column.generated && contains(untold, column.number);
  });
}

std::optional<Untold> why_untold(std::string_view publications, const std::string& publication) {
  try {
    return why_untold(json::parse(publications), publication);
  } catch (const json::exception& e) {
    throw ProtocolError(
        fmt::format("deltaflood.heads() does not tell the publications of a table: {}", e.what()),
        "install sql/deltaflood_managed.sql of this version");
  }
}

Shape parse_shape(std::uint32_t oid, std::string_view text, const std::string& publication) {
  try {
    Shape shape = parse(json::parse(text), publication);
    if (shape.oid == oid) return shape;
  } catch (const json::exception& e) {
    throw ProtocolError(
        fmt::format("a row of deltaflood.ddl has no shape of table {}: {}", oid, e.what()),
        "install sql/deltaflood_managed.sql of this version");
  }
  throw ProtocolError(fmt::format("a row of deltaflood.ddl about table {} is about another", oid),
                      "install sql/deltaflood_managed.sql of this version");
}

std::string schema_fields(const Shape& shape, const Relation* sent) {
  std::vector<const ShapeColumn*> columns;
  std::vector<int> generated;
  for (const ShapeColumn& column : shape.columns) {
    if (!is_sent(column, sent)) continue;
    columns.push_back(&column);
    if (column.generated) generated.push_back(column.number);
  }
  std::string out = fmt::format("\t_oid\t{}", shape.oid);
  if (shape.root != 0) out += fmt::format("\t_root\t{}", shape.root);
  out += fmt::format("\t_identity\t{}", shape.identity);
  append_numbers(out, "_pkey", shape.primary_key);
  append_numbers(out, "_ikey", shape.identity_key);
  if (!generated.empty()) append_numbers(out, "_generated", generated);
  for (const ShapeColumn* column : columns) {
    if (!column->missing) continue;
    out += fmt::format("\t_missing_{}\t", column->number);
    daystream::escape_to(out, *column->missing);
  }
  append_types(out, shape, columns);
  out += "\t_action\tschema";
  for (const ShapeColumn* column : columns) {
    out += '\t';
    daystream::escape_to(out, column->name);
    out += fmt::format("\t{} ", column->number);
    daystream::escape_to(out, column->type);
    if (column->not_null) out += " not null";
  }
  return out;
}

std::string difference(const Shape& shape, const Relation& sent) {
  if (shape.schema != sent.schema || shape.table != sent.name) return "another name";
  if (shape.identity != sent.identity) return "another replica identity";
  std::size_t next = 0;
  for (const ShapeColumn& column : shape.columns) {
    if (!is_sent(column, &sent)) continue;
    const bool identity = sent.identity == 'f' || contains(shape.identity_key, column.number);
    const RelationColumn is{column.name, column.type_oid, column.typmod, identity};
    if (next == sent.columns.size() || sent.columns[next] != is) {
      return fmt::format("column \"{}\"", column.name);
    }
    ++next;
  }
  return next == sent.columns.size() ? "" : fmt::format("column \"{}\"", sent.columns[next].name);
}

}  // namespace deltastream::pgoutput
