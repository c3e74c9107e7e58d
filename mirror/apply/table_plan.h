// How the rows of one table are changed: its prepared statements, and where values go in them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apply/row_reader.h"
#include "daystream/line.h"
#include "sqlite/sqlite.h"
#include "store/mirrored_table.h"

namespace deltamirror {

// A mirror's row is not what the stream says it was: somebody else wrote to the file, or rows were
// lost. Only a repair or a new seed helps.
class Diverged : public daystream::NeedsPerson {
 public:
  using NeedsPerson::NeedsPerson;
};

// Strict: an UPDATE or DELETE that does not hit exactly one row, and an INSERT that meets one,
// throw Diverged. There is no INSERT OR REPLACE: it would hide a loss. With a `where` see
// filtered_plan.cpp; there, NeedsReseed where a row enters that the stream does not tell whole.
//
// Lifetime: borrows the database and the table; statements die with the plan. Changing the table's
//           shape needs a new plan.
// Threads:  one.
class TablePlan {
 public:
  // Lenient: goes on where a row is not as the stream says, for a comparison that follows.
  enum class Strictness { Strict, Lenient };
  TablePlan(Database& db, const MirroredTable& table, Strictness strictness = Strictness::Strict);
  TablePlan(const TablePlan&) = delete;
  TablePlan& operator=(const TablePlan&) = delete;

  // One line of the table's rows: insert, update, delete, replace; truncate and rewrite, after
  // which there are none. Throws NeedsPerson where it does not tell the row, ProtocolError on a
  // verb that is no row's.
  void apply(const daystream::Change& change);

  // `columns`: the raw fields after the verb.
  void insert(std::string_view columns);
  void erase(std::string_view columns);
  // The row that the next update() changes: together they are one UPDATE … WHERE old identity.
  void replace(std::string_view columns);
  void update(std::string_view columns);
  void truncate();

  bool replace_open() const noexcept { return replace_open_; }

 private:
  void require_key(const Row& row, std::string_view verb) const;
  // WHERE that names one row by `key_`, or by all columns.
  std::string where() const;
  int bind_identity(Statement& statement, int index, const Row& row) const;
  Statement& update_statement(bool set_key);
  void run_one(Statement& statement, std::string_view verb, const Row& row);
  std::string key_text(const Row& row) const;

  // Of a table with a `where` (filtered_plan.cpp).
  void prepare_filter();
  void insert_filtered();
  void erase_filtered();
  // False: all is done. True: the row is in the mirror and stays, what is left is its UPDATE.
  bool update_filtered(bool has_old);
  bool fetch(const Row& identity);
  void complete(bool has_old);
  void check_old(bool exists) const;

  Database& db_;
  const MirroredTable& table_;
  const bool strict_;
  const std::vector<int> key_;  // columns that name a row; empty: all
  RowReader reader_;
  std::vector<bool> is_key_;
  Row old_;
  Row new_;
  bool replace_open_ = false;

  Statement insert_;
  Statement delete_;
  // By which columns are SET: a TOASTed value that did not change is not in the line.
  std::map<std::vector<bool>, Statement> updates_;
  std::vector<bool> set_;  // scratch for update()
  const std::vector<bool>* last_set_ = nullptr;
  Statement* last_update_ = nullptr;

  std::vector<int> filter_columns_;                  // of the mirror, as the filter's attnums()
  mutable std::vector<const Value*> filter_values_;  // scratch
  Statement fetch_;                                  // all columns of the row with an identity
  Row there_;                                        // which it has found
};

}  // namespace deltamirror
