// One table of a mirror: where its rows come from and what it is called here. Kept in
// `_deltamirror_tables`.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daystream/lsn.h"
#include "daystream/position.h"
#include "model/mvcc_snapshot.h"
#include "model/names.h"
#include "model/shape.h"
#include "sqlite/sqlite.h"
#include "store/table_mode.h"
#include "values/types.h"

namespace deltamirror {

class RowFilter;

// The version of the tables that are the mirror's own.
inline constexpr int kMirrorFormat = 1;

// The attribute number of the column that names the source of each row: no table has it.
constexpr int kSourceColumn = -1000;

struct MirrorColumn {
  int attnum = 0;             // of the source's column; 0 in a static table
  std::string name;           // in SQLite
  ColumnType type;            // what its values become
  std::string type_override;  // the configured word, or empty
  std::string asked = {};     // what the source called it when it was asked for, where it has
                              // another name now

  bool operator==(const MirrorColumn&) const = default;
};

// The one that has column `attnum` of the source; nullptr: none.
const MirrorColumn* column_of(const std::vector<MirrorColumn>& columns, int attnum) noexcept;
// The first column of the key that none of `columns` has; nullptr: all are there.
const SourceColumn* missing_of_key(const Shape& shape, const std::vector<MirrorColumn>& columns);

// As convert(), of a text that came. Throws NeedsPerson where it does not fit a type that was asked
// for.
Value value_for(const MirrorColumn& column, std::string_view text, std::string& scratch);

// How a table was asked for. Kept whatever PostgreSQL has.
struct TableWish {
  std::string text;  // wish_text() of the request; empty: it is as the table is
  std::string name;  // in SQLite; the table has another while a rename in PostgreSQL is followed
  QualifiedName table = {};  // in PostgreSQL; empty: static
  std::string prefix;        // of its name here, unless another was given

  std::string default_name() const { return prefix + default_mirror_name(table); }
};

// What is here of the table in PostgreSQL.
struct ChosenPart {
  bool all_columns = true;  // false: a query or list chose some; new ones are not taken up
  std::string query;        // as given; empty: the table itself
  std::shared_ptr<const RowFilter> where;  // which rows; nullptr: all
};

struct TablePartitions {
  Partitioning kind = Partitioning::None;
  // Of a root: which rows each partition has, by its OID, as a `where` (RowFilter) in the columns'
  // present names. Partitions for which that cannot be said exactly are left out.
  std::map<std::uint32_t, std::string> rows;
};

// How much there is of a history.
struct KeptHistory {
  int days = 0;              // 0: forever
  daystream::Position from;  // that the base table was copied at
  daystream::Lsn from_lsn;
};

// Where the rows came from: what the snapshot saw is in the table already, and only from
// `consistent_at` on is the table at a commit of PostgreSQL together with the others.
struct TableSeed {
  MvccSnapshot snapshot;
  daystream::Lsn consistent_at;
  std::uint32_t timeline = 0;
  std::string at;  // when, UTC
  std::int64_t rows = 0;
  std::int64_t written_rows = 0;  // of them: those that were not the same here already
};

enum class TableState {
  Waiting,    // PostgreSQL or the stream has no such table now
  Copying,    // its rows are being copied
  Following,  // it is at the mirror's commit
  Parked,     // it cannot be followed: `reason` says why, `hint` what helps
  Leaving,    // it is to be removed
};
std::string state_name(TableState state);

// Where a table stands between what is wished and what is here.
struct TableStanding {
  TableState state = TableState::Following;
  std::string reason = {};  // of the state; empty: none is needed
  std::string hint = {};
  std::string since = {};  // when the state began, UTC; empty: with the seed
  bool hidden = false;     // readers do not find it under its name
  // SQL of what somebody put beside it (indexes, triggers, views) and what went with its table.
  std::vector<std::string> set_aside = {};
};

struct MirroredTable {
  std::string source;         // the name of its database in this mirror
  std::string source_column;  // the first column, which names the source of each row; empty: none
  std::string name;           // in SQLite
  std::string source_table;   // schema.table in PostgreSQL; empty: static
  Shape shape;                // of the source as last described
  ValueFacts facts;           // as last described
  TablePartitions partitions;
  std::vector<MirrorColumn> columns;
  std::vector<std::vector<std::string>> indexes;  // asked for, by SQLite column names
  ChosenPart choice;
  TableMode mode = TableMode::Mirror;
  KeptHistory kept;
  TableSeed seed;
  TableWish wish;
  TableStanding standing;

  bool is_followed() const noexcept {
    return standing.state == TableState::Following && !is_static();
  }

  bool is_static() const noexcept { return source_table.empty(); }
  // Its rows stand in one table with those that other sources have of it (store/shared_table.h).
  bool is_shared() const noexcept { return !source_column.empty(); }
  // Columns that name a row, as indexes into `columns`; empty: all of them together do.
  std::vector<int> key() const;
};

// Creates our own tables in a new mirror.
void create_catalog(Database& db);

void save_table(Database& db, const MirroredTable& table);
void forget_table(Database& db, const std::string& source, const std::string& name);
// Throws NeedsPerson where the file is no mirror, or one of another format.
void check_is_mirror(const Database& db);
// By name, and then by source. Throws NeedsPerson where the file is no mirror, or one of another
// format.
std::vector<MirroredTable> load_tables(const Database& db);
std::vector<MirroredTable> load_tables_of(const Database& db, const std::string& source);

void save_types(Database& db, const std::string& source, const TypeNames& types);
TypeNames load_types(const Database& db, const std::string& source);

// CREATE TABLE for `table` under the name `as`, and INSERT of a whole row.
std::string create_table_sql(const MirroredTable& table, const std::string& as);
std::string insert_sql(const MirroredTable& table);
// Its columns, quoted: a table that several sources share may have more.
std::string column_list(const MirroredTable& table);
// The columns of its key; the comparison of each with a parameter, and of each in `a` with that in
// `b`.
std::string key_list(const MirroredTable& table);
std::string key_equal(const MirroredTable& table);
std::string key_equal(const MirroredTable& table, std::string_view a, std::string_view b);
// CREATE TEMP TABLE for keys of `table` alone.
std::string create_keys_sql(const MirroredTable& table, const std::string& as);
std::vector<std::string> create_index_sql(const MirroredTable& table);
std::vector<std::string> create_index_sql(const std::string& table,
                                          const std::vector<std::vector<std::string>>& indexes);
std::string create_index_sql(const std::string& name, const std::string& table,
                             const std::vector<std::string>& columns);
std::string index_name(const std::string& table, const std::vector<std::string>& columns);

}  // namespace deltamirror
