// What of a table is to be copied: its columns and what each becomes, its rows, and by which COPY.
#pragma once

#include <libpq-fe.h>

#include <string>
#include <utility>
#include <vector>

#include "seed/seed_table.h"
#include "seed/transaction_settings.h"

namespace deltamirror {

// What is asked for of a table, beside its columns.
struct RowChoice {
  std::string first = {};   // an expression before the columns
  std::string sample = {};  // what may follow the table's name in FROM
  std::string where = {};   // empty: all
  std::string limit = {};   // what may end the SELECT

  bool is_all() const noexcept {
    return first.empty() && sample.empty() && where.empty() && limit.empty();
  }
};

// COPY of those columns of a table's own rows, not those of tables that inherit from it.
std::string copy_sql(const SourceRelation& relation, const std::vector<std::string>& names,
                     const std::vector<CopyColumn>& columns, const RowChoice& rows = {});

// Lifetime: borrows connection and settings.
class TableDescriber {
 public:
  // `utf8`: the database's encoding is UTF-8.
  TableDescriber(PGconn* pg, const TransactionSettings& settings, bool utf8)
      : pg_(pg), settings_(settings), utf8_(utf8) {}

  // Nothing is made of the tables: they may have columns that SQLite could not tell apart.
  void only_compare() noexcept { only_compare_ = true; }
  // First in each transaction, with what all of `tables` depend on.
  void read_types(std::vector<SeedTable>& tables);
  const TypeNames& types() const noexcept { return types_; }
  // Under the snapshot and the lock: from here on the shape does not change until we are done.
  // `now`: it and what has its name. Throws ConfigError or NeedsPerson where it cannot be mirrored
  // so.
  void describe(SeedTable& table, const CatalogTables& now);

 private:
  struct Spelt {
    std::vector<std::string> names;  // of the table's own columns in PostgreSQL; none of a query
    std::vector<std::string> types;  // as format_type() spells them
  };
  void describe_relation(SeedTable& table, const SourceRelation& now, const Shape& shape);
  Spelt describe_columns(SeedTable& table, RowChoice& rows);
  // Gives the types of its columns.
  std::vector<std::string> describe_query(SeedTable& table);

  PGconn* const pg_;
  const TransactionSettings& settings_;
  const bool utf8_;
  bool only_compare_ = false;
  TypeNames types_;
};

}  // namespace deltamirror
