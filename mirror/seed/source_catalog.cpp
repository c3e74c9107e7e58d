#include "seed/source_catalog.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>
#include <set>

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

std::string catalog_cell(const PgResult& result, int row, int column) {
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

PgServer identify_server(PGconn* connection) {
  const PgResult result = exec(connection, R"(
    SELECT pg_is_in_recovery(), s.system_identifier, current_database(),
           CASE WHEN pg_is_in_recovery() THEN '0'
                ELSE pg_walfile_name(pg_current_wal_lsn()) END
    FROM pg_control_system() s)");
  if (catalog_cell(result, 0, 0) == "t") {
    throw NeedsPerson("cannot seed from a standby: its snapshots do not list running transactions",
                      "connect to the primary");
  }
  PgServer server;
  server.system_identifier = catalog_cell(result, 0, 1);
  server.database = catalog_cell(result, 0, 2);
  // The first eight digits of a WAL file's name are the timeline, in hex.
  server.timeline = static_cast<std::uint32_t>(
      std::strtoul(catalog_cell(result, 0, 3).substr(0, 8).c_str(), nullptr, 16));
  return server;
}

namespace {

std::string text_array(const std::vector<QualifiedName>& names, std::string QualifiedName::*part) {
  std::string array = "{";
  for (const QualifiedName& name : names) {
    array += array.size() == 1 ? "\"" : ",\"";
    for (const char c : name.*part) {
      if (c == '"' || c == '\\') array += '\\';
      array += c;
    }
    array += '"';
  }
  return array + "}";
}

}  // namespace

CatalogTables::CatalogTables(PGconn* connection, const std::vector<QualifiedName>& names)
    : database_(PQdb(connection)) {
  if (names.empty()) return;
  read_relations(connection, names);
  read_shapes(connection);
}

void CatalogTables::read_relations(PGconn* connection, const std::vector<QualifiedName>& names) {
  const PgResult result = exec_params(
      connection, R"(
    SELECT c.oid, c.relkind, c.relpersistence,
           CASE c.relkind WHEN 'p' THEN
             (SELECT pg_catalog.sum(greatest(leaf.reltuples, 0))
              FROM pg_catalog.pg_partition_tree(c.oid) part
              JOIN pg_catalog.pg_class leaf ON leaf.oid = part.relid AND leaf.relkind <> 'p')
             ELSE c.reltuples END,
           c.relhassubclass,
           EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a
                   WHERE a.attrelid = c.oid AND a.attgenerated <> '' AND NOT a.attisdropped),
           c.relispartition, pg_catalog.has_table_privilege(c.oid, 'SELECT'), asked.place
    FROM ROWS FROM (pg_catalog.unnest($1::name[]), pg_catalog.unnest($2::name[]))
           WITH ORDINALITY AS asked(schema_name, table_name, place)
    JOIN pg_catalog.pg_namespace n ON n.nspname = asked.schema_name
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = asked.table_name
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S'))",
      {text_array(names, &QualifiedName::schema), text_array(names, &QualifiedName::table)});
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    SourceRelation relation;
    relation.oid = oid_of(result, row, 0);
    relation.name = names.at(static_cast<std::size_t>(number(result, row, 8)) - 1);
    relation.kind = catalog_cell(result, row, 1).at(0);
    relation.persistence = catalog_cell(result, row, 2).at(0);
    relation.estimated_rows = std::strtod(PQgetvalue(result.get(), row, 3), nullptr);
    relation.has_children = catalog_cell(result, row, 4) == "t";
    relation.has_generated = catalog_cell(result, row, 5) == "t";
    relation.may_lock = catalog_cell(result, row, 7) == "t";
    relation.partitioning = catalog_cell(result, row, 6) == "t" ? Partitioning::Partition
                            : relation.kind == 'p'              ? Partitioning::Root
                                                                : Partitioning::None;
    relations_.emplace(relation.name, relation);
  }
}

const SourceRelation& CatalogTables::relation(const QualifiedName& name) const {
  const auto found = relations_.find(name);
  if (found != relations_.end()) return found->second;
  throw NoSuchTable(
      fmt::format("table \"{}\" does not exist in database \"{}\"", name.display(), database_),
      "write SCHEMA.TABLE where it is not in schema public");
}

namespace {

void check_kind(const SourceRelation& relation) {
  const auto refuse = [&](std::string_view what, std::string_view otherwise = "name its tables") {
    throw NeedsPerson(
        fmt::format("cannot follow \"{}\": it is {}, whose changes PostgreSQL does not decode",
                    relation.name.display(), what),
        fmt::format("{}, or copy it once as a static query: --query SQL --as NAME without --table",
                    otherwise));
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
      if (relation.partitioning != Partitioning::Partition) break;
      throw NeedsPerson(fmt::format("cannot follow \"{}\": it is itself a partition, and no rows "
                                    "come under its name",
                                    relation.name.display()),
                        "name the table at the top, or the partitions that have rows");
    default:
      break;
  }
  if (relation.persistence == 'u') {
    refuse("an unlogged table", fmt::format("ALTER TABLE {} SET LOGGED", relation.name.sql()));
  }
  if (relation.persistence == 't') refuse("a temporary table");
}

// A row of the root is known by the identity of its partition.
void check_partitions(PGconn* connection, const SourceRelation& root) {
  const PgResult result = exec_params(connection, R"(
    WITH tree AS (
      SELECT c.oid, c.relkind, c.relpersistence, part.level,
             pg_catalog.format('%I.%I', n.nspname, c.relname) AS name,
             CASE c.relreplident WHEN 'f' THEN 'all columns' ELSE
               COALESCE((SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', '
                                                      ORDER BY k.place)
                FROM pg_catalog.pg_index i
                CROSS JOIN pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, place)
                JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
                WHERE i.indrelid = c.oid AND i.indimmediate AND i.indisvalid AND
                      k.place <= i.indnkeyatts AND
                      CASE c.relreplident WHEN 'd' THEN i.indisprimary
                                          WHEN 'i' THEN i.indisreplident END), 'nothing') END
             AS identity
      FROM pg_catalog.pg_partition_tree($1::oid) part
      JOIN pg_catalog.pg_class c ON c.oid = part.relid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace)
    SELECT leaf.name, leaf.relkind = 'f', leaf.relpersistence = 'u', leaf.identity, top.identity
    FROM tree leaf JOIN tree top ON top.level = 0
    WHERE leaf.relkind <> 'p' AND (leaf.relkind = 'f' OR leaf.relpersistence = 'u' OR
                                   leaf.identity <> top.identity)
    ORDER BY leaf.name LIMIT 1)",
                                      {std::to_string(root.oid)});
  if (PQntuples(result.get()) == 0) return;
  const std::string partition = catalog_cell(result, 0, 0);
  const bool is_foreign = catalog_cell(result, 0, 1) == "t";
  if (is_foreign || catalog_cell(result, 0, 2) == "t") {
    throw NeedsPerson(
        fmt::format("cannot follow \"{}\": its partition {} is {}, whose changes PostgreSQL does "
                    "not decode",
                    root.name.display(), partition,
                    is_foreign ? "a foreign table" : "an unlogged table"),
        "detach it, or name the other partitions");
  }
  throw NeedsPerson(
      fmt::format("cannot follow \"{}\": rows of its partition {} are named by {}, its own by {}",
                  root.name.display(), partition, catalog_cell(result, 0, 3),
                  catalog_cell(result, 0, 4)),
      "give both the same REPLICA IDENTITY with ALTER TABLE");
}

}  // namespace

void check_followable(PGconn* connection, const SourceRelation& relation) {
  check_kind(relation);
  if (relation.partitioning == Partitioning::Root) check_partitions(connection, relation);
}

std::vector<std::string> partition_relatives(PGconn* connection, const SourceRelation& relation) {
  std::vector<std::string> names;
  if (relation.partitioning == Partitioning::None) return names;
  const PgResult result = exec_params(connection, R"(
    SELECT CASE n.nspname WHEN 'public' THEN pg_catalog.quote_ident(c.relname)
                ELSE pg_catalog.format('%I.%I', n.nspname, c.relname) END
    FROM (SELECT relid FROM pg_catalog.pg_partition_tree($1::oid)
          UNION SELECT relid FROM pg_catalog.pg_partition_ancestors($1::oid)) relative
    JOIN pg_catalog.pg_class c ON c.oid = relative.relid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid <> $1::oid)",
                                      {std::to_string(relation.oid)});
  for (int row = 0; row < PQntuples(result.get()); ++row)
    names.push_back(catalog_cell(result, row, 0));
  return names;
}

void check_may_read(PGconn* connection, const SourceRelation& relation,
                    const std::vector<int>& columns) {
  if (relation.may_lock || columns.empty()) return;
  const PgResult result =
      exec_params(connection, R"(
    SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum),
           pg_catalog.count(*), current_user, pg_catalog.quote_ident(current_user)
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = $1::oid AND a.attnum = ANY ($2::int2[]) AND
          NOT pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT'))",
                  {std::to_string(relation.oid), fmt::format("{{{}}}", fmt::join(columns, ","))});
  const std::string missing = catalog_cell(result, 0, 0);
  if (missing.empty()) return;
  throw NeedsPerson(
      fmt::format("role \"{}\" may not read {} {} of table \"{}\"", catalog_cell(result, 0, 2),
                  catalog_cell(result, 0, 1) == "1" ? "column" : "columns", missing,
                  relation.name.display()),
      fmt::format("GRANT SELECT ({}) ON {} TO {}; -- or choose others with \"columns\"", missing,
                  relation.name.sql(), catalog_cell(result, 0, 3)));
}

std::string from_item(const SourceRelation& relation) {
  return relation.kind == 'p' ? relation.name.sql() : "ONLY " + relation.name.sql();
}

// The keys are those that logical decoding itself uses: valid and not deferrable.
void CatalogTables::read_shapes(PGconn* connection) {
  std::set<std::uint32_t> oids;
  for (const auto& [name, relation] : relations_) oids.insert(relation.oid);
  const std::string asked = fmt::format("{{{}}}", fmt::join(oids, ","));
  const PgResult tables = exec_params(connection, R"(
    SELECT c.oid,
           CASE n.nspname WHEN 'public' THEN pg_catalog.quote_ident(c.relname)
                ELSE pg_catalog.quote_ident(n.nspname) || '.' ||
                     pg_catalog.quote_ident(c.relname) END,
           c.relreplident,
           (SELECT pg_catalog.array_to_string((i.indkey::int2[])[0:i.indnkeyatts - 1], ',') FROM pg_catalog.pg_index i
            WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate AND i.indisvalid),
           (SELECT pg_catalog.array_to_string((i.indkey::int2[])[0:i.indnkeyatts - 1], ',') FROM pg_catalog.pg_index i
            WHERE i.indrelid = c.oid AND i.indisreplident AND i.indimmediate AND i.indisvalid)
    FROM pg_catalog.unnest($1::oid[]) AS asked(oid)
    JOIN pg_catalog.pg_class c ON c.oid = asked.oid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace)",
                                      {asked});
  for (int row = 0; row < PQntuples(tables.get()); ++row) {
    Shape& shape = shapes_[oid_of(tables, row, 0)];
    shape.oid = oid_of(tables, row, 0);
    daystream::escape_to(shape.line_name, catalog_cell(tables, row, 1));
    shape.identity = catalog_cell(tables, row, 2).at(0);
    shape.primary_key = parse_attribute_numbers(catalog_cell(tables, row, 3));
    if (shape.identity == 'i')
      shape.identity_key = parse_attribute_numbers(catalog_cell(tables, row, 4));
  }
  const PgResult columns = exec_params(connection, R"(
    SELECT a.attnum, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
           a.atttypid, a.attrelid
    FROM pg_catalog.unnest($1::oid[]) AS asked(oid)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = asked.oid
    WHERE a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum)",
                                       {asked});
  for (int row = 0; row < PQntuples(columns.get()); ++row) {
    const std::uint32_t type = oid_of(columns, row, 4);
    const auto shape = shapes_.find(oid_of(columns, row, 5));
    if (shape == shapes_.end()) continue;  // dropped before it was asked for
    shape->second.columns.push_back(
        {number(columns, row, 0), catalog_cell(columns, row, 1), catalog_cell(columns, row, 2),
         catalog_cell(columns, row, 3) == "t", is_changeable_type(type) ? type : 0});
  }
}

const Shape& CatalogTables::shape(const SourceRelation& relation) const {
  const auto found = shapes_.find(relation.oid);
  if (found != shapes_.end()) return found->second;
  throw ConfigError(fmt::format("table \"{}\" was dropped meanwhile", relation.name.display()),
                    "try again without it");
}

namespace {

constexpr std::string_view kIsArray =
    "t.typtype = 'b' AND t.typsubscript = "
    "'pg_catalog.array_subscript_handler'::pg_catalog.regproc";

// The types that a type `t` of pg_type is made of.
const std::string kMadeOf = fmt::format(R"(
        SELECT t.typbasetype WHERE t.typtype = 'd'
        UNION ALL
        SELECT t.typelem WHERE {}
        UNION ALL
        SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid
        UNION ALL
        SELECT r.rngtypid FROM pg_catalog.pg_range r WHERE r.rngmultitypid = t.oid
        UNION ALL
        SELECT a.atttypid FROM pg_catalog.pg_attribute a
        WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0
          AND NOT a.attisdropped)",
                                        kIsArray);

std::vector<std::uint32_t> oids_of(const std::string& list) {
  std::vector<std::uint32_t> oids;
  const char* rest = list.c_str();
  while (*rest != '\0') {
    char* end = nullptr;
    oids.push_back(static_cast<std::uint32_t>(std::strtoul(rest, &end, 10)));
    rest = *end == ',' ? end + 1 : end;
  }
  return oids;
}

// The types themselves, and those that they are made of.
const std::string kDescribeTypes = fmt::format(R"(
    WITH RECURSIVE used(type) AS (
      SELECT pg_catalog.unnest($1::oid[])
      UNION
      SELECT made_of.type FROM used JOIN pg_catalog.pg_type t ON t.oid = used.type
      CROSS JOIN LATERAL ({0}) AS made_of(type)
      WHERE t.oid >= 12000)
    SELECT t.oid,
           (SELECT pg_catalog.string_agg(made_of.type::text, ',') FROM ({0}) AS made_of(type)),
           CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'c' THEN 'composite' WHEN 'd' THEN 'domain'
                          WHEN 'r' THEN 'range' WHEN 'm' THEN 'multirange'
                          ELSE CASE WHEN {1} THEN 'array' ELSE 'base' END END ||
           CASE WHEN t.typtype = 'c' THEN
             COALESCE((SELECT ' ' || pg_catalog.string_agg(a.attnum || ':' || a.atttypid, ','
                                                           ORDER BY a.attnum)
                       FROM pg_catalog.pg_attribute a
                       WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped), '')
             ELSE COALESCE((SELECT ' ' || made_of.type FROM ({0}) AS made_of(type)), '') END ||
           CASE WHEN t.typtype = 'd' AND t.typtypmod >= 0 THEN ' typmod ' || t.typtypmod ELSE '' END ||
           CASE WHEN t.typdelim <> ',' THEN ' delimiter ' || t.typdelim::text ELSE '' END ||
           ' named ' || pg_catalog.format_type(t.oid, NULL)
    FROM used JOIN pg_catalog.pg_type t ON t.oid = used.type)",
                                               kMadeOf, kIsArray);

// What one type is, as the lines of a stream say it.
struct Described {
  std::vector<std::uint32_t> made_of;
  std::vector<std::pair<std::string, std::string>> facts;
};

std::string oid_array(const std::set<std::uint32_t>& oids) {
  return fmt::format("{{{}}}", fmt::join(oids, ","));
}

std::map<std::uint32_t, Described> describe_types(PGconn* connection,
                                                  const std::set<std::uint32_t>& types) {
  const PgResult described = exec_params(connection, kDescribeTypes, {oid_array(types)});
  std::map<std::uint32_t, Described> all;
  for (int row = 0; row < PQntuples(described.get()); ++row) {
    const std::uint32_t oid = oid_of(described, row, 0);
    Described& type = all[oid];
    if (is_changeable_type(oid)) type.made_of = oids_of(catalog_cell(described, row, 1));
    type.facts.emplace_back(fmt::format("_type_{}", oid), catalog_cell(described, row, 2));
  }
  std::set<std::uint32_t> reached;
  for (const auto& [oid, type] : all) reached.insert(oid);
  const PgResult labels = exec_params(connection, R"(
    SELECT e.enumtypid, e.oid, e.enumlabel FROM pg_catalog.pg_enum e
    WHERE e.enumtypid = ANY ($1::oid[]))",
                                      {oid_array(reached)});
  for (int row = 0; row < PQntuples(labels.get()); ++row) {
    all[oid_of(labels, row, 0)].facts.emplace_back(
        fmt::format("_label_{}_{}", catalog_cell(labels, row, 0), catalog_cell(labels, row, 1)),
        catalog_cell(labels, row, 2));
  }
  return all;
}

}  // namespace

// The seed's half of one definition, the other is plugin/value_facts.cpp: types that initdb did not
// make for good, and whatever these are made of. Each type is described once, and the tables' own
// sets of them are put together here: with one query a table, or each type again for each, a
// database of thousands of tables is read for minutes.
std::map<std::uint32_t, ValueFacts> read_value_facts(PGconn* connection,
                                                     const std::vector<std::uint32_t>& tables) {
  std::map<std::uint32_t, ValueFacts> facts;
  if (tables.empty()) return facts;
  const PgResult columns = exec_params(connection, R"(
    SELECT DISTINCT a.attrelid, a.atttypid FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
      AND a.atttypid >= 12000)",
                                       {fmt::format("{{{}}}", fmt::join(tables, ","))});
  if (PQntuples(columns.get()) == 0) return facts;
  std::set<std::uint32_t> types;
  for (int row = 0; row < PQntuples(columns.get()); ++row) types.insert(oid_of(columns, row, 1));
  std::map<std::uint32_t, Described> all = describe_types(connection, types);
  for (int row = 0; row < PQntuples(columns.get()); ++row) {
    ValueFacts& table = facts[oid_of(columns, row, 0)];
    std::vector<std::uint32_t> left = {oid_of(columns, row, 1)};
    while (!left.empty()) {
      const Described& type = all[left.back()];
      left.pop_back();
      if (type.facts.empty() || table.contains(type.facts.front().first)) continue;
      for (const auto& [key, value] : type.facts) table.emplace(key, value);
      left.insert(left.end(), type.made_of.begin(), type.made_of.end());
    }
  }
  return facts;
}

namespace {

// An index that may be the table's replica identity, quoted; empty: there is none.
std::string unique_index(PGconn* connection, const SourceRelation& relation) {
  const PgResult result = exec_params(connection, R"(
    SELECT pg_catalog.quote_ident(c.relname)
    FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = $1::oid AND i.indisunique AND i.indimmediate AND i.indisvalid AND
          i.indpred IS NULL AND i.indexprs IS NULL AND
          NOT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a
                      WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[]) AND
                            NOT a.attnotnull)
    ORDER BY i.indnkeyatts, c.relname LIMIT 1)",
                                      {std::to_string(relation.oid)});
  return PQntuples(result.get()) == 0 ? "" : catalog_cell(result, 0, 0);
}

}  // namespace

void check_key(PGconn* connection, const SourceRelation& relation, const Shape& shape) {
  if (shape.identity == 'f' || !shape.row_key().empty()) return;
  const std::string index = unique_index(connection, relation);
  throw NeedsPerson(
      fmt::format("cannot follow \"{}\": it has no key that names the rows of updates and deletes",
                  relation.name.display()),
      index.empty() ? fmt::format("give it a primary key (not deferrable), or ALTER TABLE {} "
                                  "REPLICA IDENTITY FULL",
                                  relation.name.sql())
                    : fmt::format("ALTER TABLE {} REPLICA IDENTITY USING INDEX {}",
                                  relation.name.sql(), index));
}

TypeNames read_types(PGconn* connection) {
  // Array types are looked through by their name, so only their elements count, and what separates
  // these where it is not a comma.
  const PgResult result = exec(connection, fmt::format(R"(
    SELECT pg_catalog.format_type(t.oid, NULL),
           CASE WHEN t.typtype = 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod)
                WHEN {} THEN t.typdelim::text ELSE '' END
    FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
    WHERE n.nspname NOT IN ('pg_catalog', 'pg_toast') AND
          (t.typtype <> 'b' OR t.typelem = 0 OR t.typdelim <> ','))",
                                                       kIsArray));
  TypeNames types;
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    types.add(catalog_cell(result, row, 0), catalog_cell(result, row, 1));
  }
  return types;
}

}  // namespace deltamirror
