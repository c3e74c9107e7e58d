#include "seed/describe_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <map>
#include <set>

#include "apply/row_writer.h"
#include "history/history_tables.h"
#include "program/postgres.h"
#include "seed/chosen_columns.h"
#include "seed/partition_bounds.h"
#include "store/shared_table.h"

namespace deltamirror {

using daystream::ConfigError;
using daystream::program::exec;
using daystream::program::exec_params;
using daystream::program::PgResult;
using daystream::program::query_value;

namespace {

void check_columns(const MirroredTable& table) {
  std::set<std::string> names;
  for (const MirrorColumn& column : table.columns) {
    if (names.insert(folded(column.name)).second) continue;
    throw ConfigError(fmt::format("table \"{}\" has two columns that SQLite would both call \"{}\"",
                                  table.name, column.name),
                      "rename one of them with --query \"SELECT … AS other_name …\"");
  }
  if (table.columns.empty()) {
    throw ConfigError(fmt::format("table \"{}\" has no columns", table.name), "leave it out");
  }
}

// Of the table's own columns those that a copy reads.
std::vector<int> attnums_read(const MirroredTable& table) {
  std::vector<int> attnums;
  for (const MirrorColumn& column : table.columns) {
    if (column.attnum > 0) attnums.push_back(column.attnum);
  }
  if (table.choice.where) {
    const std::vector<int>& compared = table.choice.where->attnums();
    attnums.insert(attnums.end(), compared.begin(), compared.end());
  }
  return attnums;
}

void apply_overrides(const TableRequest& request, MirroredTable& table) {
  for (const auto& [name, word] : request.types) {
    const auto found =
        std::find_if(table.columns.begin(), table.columns.end(),
                     [&name = name](const MirrorColumn& c) { return c.name == name; });
    if (found == table.columns.end() || found->attnum == kSourceColumn) {
      throw ConfigError(
          fmt::format("\"types\" of table \"{}\" names a column \"{}\" that it has not", table.name,
                      name),
          "name one that it has; \"config check -d\" lists them");
    }
    found->type_override = word;
    found->type = type_named(word).value_or(ColumnType{});
  }
}

void check_row_key(const MirroredTable& table) {
  if (const SourceColumn* const missing = missing_of_key(table.shape, table.columns)) {
    throw ConfigError(fmt::format("the query for \"{}\" leaves out the key column \"{}\"",
                                  table.source_table, missing->name),
                      "add it: without it updates and deletes cannot be followed");
  }
}

}  // namespace

void TableDescriber::read_types(std::vector<SeedTable>& tables) {
  types_ = deltamirror::read_types(pg_);
  std::vector<std::uint32_t> oids;
  for (const SeedTable& table : tables) {
    if (table.relation.oid != 0) oids.push_back(table.relation.oid);
  }
  auto facts = read_value_facts(pg_, oids);
  for (SeedTable& table : tables) table.mirrored.facts = std::move(facts[table.relation.oid]);
}

void TableDescriber::describe(SeedTable& table, const CatalogTables& catalog) {
  MirroredTable& mirrored = table.mirrored;
  const SourceRelation& now =
      table.relation.oid == 0 ? table.relation : catalog.relation(table.relation.name);
  if (table.relation.oid != 0) describe_relation(table, now, catalog.shape(now));
  RowChoice rows;
  const auto [names, spelt] = describe_columns(table, rows);
  if (!only_compare_) check_columns(mirrored);
  apply_overrides(table.request, mirrored);
  mirrored.choice.where =
      chosen_rows(table.request, mirrored.shape, types_, mirrored.columns, utf8_);
  // A comparison reads what the mirror has, which may be less than all.
  if (table.relation.oid != 0 && !only_compare_) {
    check_may_read(pg_, now, attnums_read(mirrored));
  }
  check_row_key(mirrored);
  if (mirrored.mode != TableMode::Mirror) {
    check_history(mirrored);
  } else if (table.relation.oid != 0) {
    check_identity(mirrored);
  }
  if (mirrored.choice.where) rows.where = mirrored.choice.where->sql(mirrored.shape);
  table.copied.clear();
  for (std::size_t i = 0; i < spelt.size(); ++i) {
    const MirrorColumn& column = mirrored.columns[i];
    table.copied.push_back({.wire = wire_of(types_, spelt[i], column.type),
                            .type = column.type,
                            .name = column.name,
                            .asked = column.type_override});
  }
  table.by_query = !table.request.query.empty();
  table.copy_sql = !table.by_query ? copy_sql(table.relation, names, table.copied, rows)
                                   : binary_copy_sql(table.select_sql, table.copied);
}

void TableDescriber::describe_relation(SeedTable& table, const SourceRelation& now,
                                       const Shape& shape) {
  MirroredTable& mirrored = table.mirrored;
  mirrored.source_table = table.relation.name.display();
  mirrored.shape = shape;
  mirrored.partitions.kind = now.partitioning;
  check_followable(pg_, now);
  check_key(pg_, table.relation, mirrored.shape);
  mirrored.partitions.rows = now.partitioning == Partitioning::Root
                                 ? read_partition_bounds(pg_, now, mirrored.shape, types_)
                                 : std::map<std::uint32_t, std::string>{};
}

TableDescriber::Spelt TableDescriber::describe_columns(SeedTable& table, RowChoice& rows) {
  MirroredTable& mirrored = table.mirrored;
  const bool by_query = !table.request.query.empty();
  mirrored.columns.clear();
  mirrored.choice.all_columns = !by_query && table.request.columns.empty();
  Spelt out;
  if (by_query) {
    out.types = describe_query(table);
  } else {
    mirrored.columns = chosen_columns(table.request, mirrored.shape, types_);
    for (const MirrorColumn& column : mirrored.columns) {
      const SourceColumn& source = *mirrored.shape.column(column.attnum);
      out.names.push_back(source.name);
      out.types.push_back(source.type);
    }
  }
  if (!mirrored.is_shared()) return out;
  rows.first = source_literal(mirrored);
  out.types.insert(out.types.begin(), "text");
  mirrored.columns.insert(mirrored.columns.begin(), {.attnum = kSourceColumn,
                                                     .name = mirrored.source_column,
                                                     .type = {.kind = Kind::Text},
                                                     .type_override = {}});
  if (by_query) {
    table.select_sql =
        fmt::format("SELECT {}, q.* FROM (\n{}\n) AS q", rows.first, table.select_sql);
  }
  return out;
}

// What replay cannot compute again must not be in a followed query: each of its columns is one of
// the table's, which the server says in the description of the result.
std::vector<std::string> TableDescriber::describe_query(SeedTable& table) {
  std::vector<std::string> types;
  MirroredTable& mirrored = table.mirrored;
  std::string query = table.request.query;
  while (!query.empty() &&
         (query.back() == ';' || std::isspace(static_cast<unsigned char>(query.back())))) {
    query.pop_back();
  }
  settings_.for_query(pg_);
  const PgResult prepared(PQprepare(pg_, "", query.c_str(), 0, nullptr));
  if (PQresultStatus(prepared.get()) != PGRES_COMMAND_OK) {
    daystream::program::throw_error(pg_, prepared.get(),
                                    fmt::format("cannot use the query for \"{}\"", mirrored.name));
  }
  const PgResult described(PQdescribePrepared(pg_, ""));
  if (PQresultStatus(described.get()) != PGRES_COMMAND_OK) {
    daystream::program::throw_error(pg_, described.get(),
                                    fmt::format("cannot use the query for \"{}\"", mirrored.name));
  }
  exec(pg_, "EXPLAIN " + query);  // asks for the rights that the query needs, and reads no row
  settings_.for_tables(pg_);
  for (int i = 0; i < PQnfields(described.get()); ++i) {
    MirrorColumn& column = mirrored.columns.emplace_back();
    column.name = PQfname(described.get(), i);
    const auto type = query_value(
        pg_, "SELECT pg_catalog.format_type($1::oid, $2::int4)",
        {std::to_string(PQftype(described.get(), i)), std::to_string(PQfmod(described.get(), i))});
    const std::string& spelt = types.emplace_back(type.value_or("text"));
    column.type = types_.resolve(spelt).value_or(ColumnType{});
    if (table.relation.oid == 0) continue;
    column.attnum = PQftablecol(described.get(), i);
    if (PQftable(described.get(), i) != table.relation.oid || column.attnum <= 0) {
      throw ConfigError(
          fmt::format("column \"{}\" of the query for \"{}\" is not a column of that table",
                      column.name, mirrored.source_table),
          "only the table's own columns can be followed: compute the rest in a SQLite view");
    }
    if (spelt.starts_with("reg")) {
      throw ConfigError(fmt::format("column \"{}\" of the query for \"{}\" is of type {}, whose "
                                    "text depends on search_path",
                                    column.name, mirrored.source_table, spelt),
                        "name the table without a query");
    }
  }
  table.select_sql = query;
  return types;
}

// COPY of the table itself costs the server a sixth less than that of a query, but it knows no
// generated columns and calls no functions.
std::string copy_sql(const SourceRelation& relation, const std::vector<std::string>& names,
                     const std::vector<CopyColumn>& columns, const RowChoice& rows) {
  std::string list = rows.first;
  for (const std::string& name : names) {
    list += (list.empty() ? "" : ", ") + daystream::program::quote_identifier(name);
  }
  const bool by_function = std::any_of(columns.begin(), columns.end(),
                                       [](const CopyColumn& c) { return c.wire == Wire::Text; });
  if (rows.is_all() && relation.kind == 'r' && !relation.has_generated && !by_function) {
    return fmt::format("COPY {} ({}) TO STDOUT (FORMAT binary)", relation.name.sql(), list);
  }
  return binary_copy_sql(
      fmt::format("SELECT {} FROM {} {}{}{} {}", list, from_item(relation), rows.sample,
                  rows.where.empty() ? "" : " WHERE ", rows.where, rows.limit),
      columns);
}

}  // namespace deltamirror
