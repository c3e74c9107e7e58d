#include "seed/chosen_columns.h"

#include <fmt/format.h>

#include <algorithm>

#include "program/usage.h"

namespace deltamirror {

namespace {

std::vector<std::string> names_of(const Shape& shape) {
  std::vector<std::string> out;
  for (const SourceColumn& column : shape.columns) out.push_back(column.name);
  return out;
}

}  // namespace

std::string no_column(const std::string& name, const std::vector<std::string>& columns) {
  return fmt::format("there is no column \"{}\" ({}){}", name, fmt::join(columns, ", "),
                     daystream::program::did_you_mean(name, columns));
}

std::vector<MirrorColumn> chosen_columns(const TableRequest& request, const Shape& shape,
                                         const TypeNames& types) {
  std::vector<const SourceColumn*> chosen;
  for (std::size_t i = 0; i < request.columns.size(); ++i) {
    chosen.push_back(shape.column_called(request.columns[i]));
    if (chosen.back() == nullptr) {
      throw RequestProblem(fmt::format("/columns/{}", i),
                           no_column(request.columns[i], names_of(shape)));
    }
  }
  if (request.columns.empty()) {
    for (const SourceColumn& column : shape.columns) chosen.push_back(&column);
  }
  std::vector<MirrorColumn> out;
  for (const SourceColumn* column : chosen) {
    const auto renamed = request.rename.find(column->name);
    out.push_back({.attnum = column->attnum,
                   .name = renamed == request.rename.end() ? column->name : renamed->second,
                   .type = types.resolve(column->type).value_or(ColumnType{}),
                   .type_override = {}});
  }
  for (const auto& [name, to] : request.rename) {
    const SourceColumn* const column = shape.column_called(name);
    const bool there =
        column != nullptr && std::find(chosen.begin(), chosen.end(), column) != chosen.end();
    if (there) continue;
    throw RequestProblem("/rename/" + daystream::program::pointer_token(name),
                         column == nullptr
                             ? no_column(name, names_of(shape))
                             : fmt::format("column \"{}\" is not among \"columns\"", name));
  }
  if (const SourceColumn* const missing = missing_of_key(shape, out)) {
    throw RequestProblem("/columns",
                         fmt::format("the key column \"{}\" of table {} is not among \"columns\"",
                                     missing->name, shape.line_name),
                         "add it: without it updates and deletes cannot be followed");
  }
  return out;
}

std::shared_ptr<const RowFilter> chosen_rows(const TableRequest& request, const Shape& shape,
                                             const TypeNames& types,
                                             const std::vector<MirrorColumn>& columns, bool utf8) {
  if (request.where.empty()) return nullptr;
  std::shared_ptr<const RowFilter> filter;
  try {
    filter = std::make_shared<RowFilter>(request.where, shape, types);
  } catch (const daystream::ConfigError& e) {
    throw RequestProblem("/where", e.what(), e.hint());
  }
  for (const int attnum : filter->attnums()) {
    const std::string& name = shape.column(attnum)->name;
    const MirrorColumn* const found = column_of(columns, attnum);
    if (found == nullptr) {
      throw RequestProblem(
          "/where", fmt::format("where: column \"{}\" is not mirrored", name),
          "add it to \"columns\": whether a row fits is decided by what the mirror has of it");
    }
    if (found->type_override.empty()) continue;
    throw RequestProblem("/where", fmt::format("where: column \"{}\" has another type here", name),
                         "leave it out of \"types\": its own values are compared");
  }
  if (filter->needs_utf8() && !utf8) {
    throw RequestProblem(
        "/where", "where: the order of texts, and LIKE, are known in databases in UTF-8 only",
        "= <> and IN work in all");
  }
  return filter;
}

}  // namespace deltamirror
