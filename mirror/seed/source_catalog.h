// What a seed asks PostgreSQL's catalog.
#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "daystream/error.h"
#include "daystream/manifest.h"
#include "model/names.h"
#include "model/shape.h"
#include "values/types.h"

namespace deltamirror {

struct PgServer {
  daystream::SourceIdentity identity() const { return {system_identifier, database, {}}; }

  std::string system_identifier;
  std::string database;
  std::uint32_t timeline = 0;
};

// Throws NeedsPerson on a standby: its snapshots do not list running transactions.
PgServer identify_server(PGconn*);

struct SourceRelation {
  std::uint32_t oid = 0;
  QualifiedName name;
  char kind = 'r';         // relkind
  char persistence = 'p';  // relpersistence
  Partitioning partitioning = Partitioning::None;
  bool has_children = false;
  bool has_generated = false;  // a generated column
  bool may_lock = true;        // the role has a right to the whole table
  double estimated_rows = -1;  // -1: never analyzed
};

// PostgreSQL has no table of that name.
class NoSuchTable : public daystream::ConfigError {
 public:
  using ConfigError::ConfigError;
};

// Tables as the catalog has them now: read with three queries, however many they are, as asking for
// each of thousands takes many seconds.
class CatalogTables {
 public:
  CatalogTables(PGconn*, const std::vector<QualifiedName>& names);

  // By one of those names. Throws NoSuchTable.
  const SourceRelation& relation(const QualifiedName& name) const;
  // Of one of them. Throws ConfigError where it was dropped in between.
  const Shape& shape(const SourceRelation& relation) const;

 private:
  void read_relations(PGconn*, const std::vector<QualifiedName>& names);
  void read_shapes(PGconn*);

  std::string database_;
  std::map<QualifiedName, SourceRelation> relations_;
  std::map<std::uint32_t, Shape> shapes_;  // by OID
};

// Throws NeedsPerson for what logical decoding never sees (views, unlogged, foreign tables…), also
// where a partition of it is such, or names its rows otherwise than the table itself.
void check_followable(PGconn*, const SourceRelation& relation);

// The names, as lines spell them, of what decides with the table whether the filter
// `exclude-tables` leaves rows of it out: of a root its partitions, of a partition the tables that
// it is a part of.
std::vector<std::string> partition_relatives(PGconn*, const SourceRelation& relation);

// What FROM calls the table: all of its partitions, but none of the tables that inherit from it.
std::string from_item(const SourceRelation& relation);

// As the plugin writes them in the tables' schema lines, by the tables' OIDs; a table without any
// has none here. Asks for all of them at once.
std::map<std::uint32_t, ValueFacts> read_value_facts(PGconn*,
                                                     const std::vector<std::uint32_t>& tables);

// Throws NeedsPerson for a table whose updates and deletes could not be followed.
void check_key(PGconn*, const SourceRelation& relation, const Shape& shape);

// Throws NeedsPerson where the role, which has no right to the whole table, has none to one of the
// columns, given by attribute number.
void check_may_read(PGconn*, const SourceRelation& relation, const std::vector<int>& columns);

// All types of the database that are not PostgreSQL's own.
TypeNames read_types(PGconn*);

}  // namespace deltamirror
