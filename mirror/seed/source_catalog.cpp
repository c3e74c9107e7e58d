#include "seed/source_catalog.h"

#include <fmt/format.h>

#include <cstdlib>

#include "daystream/error.h"
#include "daystream/line.h"
#include "program/postgres.h"

namespace deltamirror {

using daystream::ConfigError;
using daystream::NeedsPerson;
using daystream::program::exec;
using daystream::program::exec_params;
using daystream::program::PgResult;

namespace {

std::string cell(const PgResult& result, int row, int column) {
  return {PQgetvalue(result.get(), row, column),
          static_cast<std::size_t>(PQgetlength(result.get(), row, column))};
}

int number(const PgResult& result, int row, int column) {
  return std::atoi(PQgetvalue(result.get(), row, column));
}

std::uint32_t oid_of(const PgResult& result, int row, int column) {
  return static_cast<std::uint32_t>(
      std::strtoul(PQgetvalue(result.get(), row, column), nullptr, 10));
}

}  // namespace

SourceServer identify_server(PGconn* connection) {
  const PgResult result = exec(connection, R"(
    SELECT pg_is_in_recovery(), s.system_identifier, current_database(),
           CASE WHEN pg_is_in_recovery() THEN '0'
                ELSE pg_walfile_name(pg_current_wal_lsn()) END
    FROM pg_control_system() s)");
  if (cell(result, 0, 0) == "t") {
    throw NeedsPerson("cannot seed from a standby: its snapshots do not list running transactions",
                      "connect to the primary");
  }
  SourceServer server;
  server.system_identifier = cell(result, 0, 1);
  server.database = cell(result, 0, 2);
  // The first eight digits of a WAL file's name are the timeline, in hex.
  server.timeline = static_cast<std::uint32_t>(
      std::strtoul(cell(result, 0, 3).substr(0, 8).c_str(), nullptr, 16));
  return server;
}

SourceRelation find_relation(PGconn* connection, const QualifiedName& name) {
  const PgResult result = exec_params(connection, R"(
    SELECT c.oid, c.relkind, c.relpersistence, c.reltuples, c.relhassubclass,
           EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a
                   WHERE a.attrelid = c.oid AND a.attgenerated <> '' AND NOT a.attisdropped)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S'))",
                                      {name.schema, name.table});
  if (PQntuples(result.get()) == 0) {
    throw ConfigError(fmt::format("table \"{}\" does not exist in database \"{}\"", name.display(),
                                  PQdb(connection)),
                      "write SCHEMA.TABLE where it is not in schema public");
  }
  SourceRelation relation;
  relation.oid = oid_of(result, 0, 0);
  relation.name = name;
  relation.kind = cell(result, 0, 1).at(0);
  relation.persistence = cell(result, 0, 2).at(0);
  relation.estimated_rows = std::strtod(PQgetvalue(result.get(), 0, 3), nullptr);
  relation.has_children = cell(result, 0, 4) == "t";
  relation.has_generated = cell(result, 0, 5) == "t";
  return relation;
}

void check_followable(const SourceRelation& relation) {
  const auto refuse = [&](std::string_view what) {
    throw NeedsPerson(
        fmt::format("cannot follow \"{}\": it is {}, whose changes PostgreSQL does not decode",
                    relation.name.display(), what),
        "name its tables, or copy it once as a static query: --query SQL --as NAME without "
        "--table");
  };
  switch (relation.kind) {
    case 'v':
      refuse("a view");
      break;
    case 'm':
      refuse("a materialized view");
      break;
    case 'f':
      refuse("a foreign table");
      break;
    case 'S':
      refuse("a sequence");
      break;
    case 'p':
      throw NeedsPerson(
          fmt::format("cannot follow \"{}\": it is partitioned, and its rows come under the names "
                      "of its partitions",
                      relation.name.display()),
          "name its partitions, and join them in a SQLite view");
    default:
      break;
  }
  if (relation.persistence == 'u') refuse("an unlogged table");
  if (relation.persistence == 't') refuse("a temporary table");
}

// The keys are those that logical decoding itself uses: valid and not deferrable.
Shape read_shape(PGconn* connection, const SourceRelation& relation) {
  const std::string oid = std::to_string(relation.oid);
  Shape shape;
  shape.oid = relation.oid;
  const PgResult table = exec_params(connection, R"(
    SELECT CASE n.nspname WHEN 'public' THEN pg_catalog.quote_ident(c.relname)
                ELSE pg_catalog.quote_ident(n.nspname) || '.' ||
                     pg_catalog.quote_ident(c.relname) END,
           c.relreplident,
           (SELECT pg_catalog.array_to_string((i.indkey::int2[])[0:i.indnkeyatts - 1], ',') FROM pg_catalog.pg_index i
            WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate AND i.indisvalid),
           (SELECT pg_catalog.array_to_string((i.indkey::int2[])[0:i.indnkeyatts - 1], ',') FROM pg_catalog.pg_index i
            WHERE i.indrelid = c.oid AND i.indisreplident AND i.indimmediate AND i.indisvalid)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = $1::oid)",
                                     {oid});
  if (PQntuples(table.get()) == 0) {
    throw ConfigError(fmt::format("table \"{}\" was dropped meanwhile", relation.name.display()));
  }
  daystream::escape_to(shape.line_name, cell(table, 0, 0));
  shape.identity = cell(table, 0, 1).at(0);
  shape.primary_key = parse_attribute_numbers(cell(table, 0, 2));
  if (shape.identity == 'i') shape.identity_key = parse_attribute_numbers(cell(table, 0, 3));

  const PgResult columns = exec_params(connection, R"(
    SELECT a.attnum, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)",
                                       {oid});
  for (int row = 0; row < PQntuples(columns.get()); ++row) {
    shape.columns.push_back({number(columns, row, 0), cell(columns, row, 1), cell(columns, row, 2),
                             cell(columns, row, 3) == "t"});
  }
  return shape;
}

void check_key(const SourceRelation& relation, const Shape& shape) {
  if (shape.identity == 'f' || !shape.row_key().empty()) return;
  const std::string name = relation.name.display();
  throw NeedsPerson(
      fmt::format("cannot follow \"{}\": it has no key that names the rows of updates and deletes",
                  name),
      fmt::format("give it a primary key (not deferrable), or ALTER TABLE {} REPLICA IDENTITY FULL",
                  name));
}

TypeNames read_types(PGconn* connection) {
  // Array types are looked through by their name, so only their elements count.
  const PgResult result = exec(connection, R"(
    SELECT pg_catalog.format_type(t.oid, NULL),
           CASE t.typtype WHEN 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod)
                ELSE '' END
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    WHERE n.nspname NOT IN ('pg_catalog', 'pg_toast') AND (t.typtype <> 'b' OR t.typelem = 0))");
  TypeNames types;
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    types.add(cell(result, row, 0), cell(result, row, 1));
  }
  return types;
}

}  // namespace deltamirror
