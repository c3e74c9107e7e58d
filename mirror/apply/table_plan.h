// How the rows of one table are changed: its prepared statements, and where values go in them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daystream/line.h"
#include "store/mirrored_table.h"
#include "store/sqlite.h"

namespace deltamirror {

// A mirror's row is not what the stream says it was: somebody else wrote to the file, or rows were
// lost. Only a repair or a new seed helps.
class Diverged : public daystream::NeedsPerson {
 public:
  using NeedsPerson::NeedsPerson;
};

// Strict: an UPDATE or DELETE that does not hit exactly one row, and an INSERT that meets one,
// throw Diverged. There is no INSERT OR REPLACE: it would hide a loss.
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
  struct Cell {
    bool present = false;
    Value value;
    std::string unescaped;  // what `value` borrows where the raw text had escapes
    std::string scratch;    // what it borrows where conversion made something new
  };
  using Row = std::vector<Cell>;  // by column of the mirror

  void read(std::string_view columns, Row& row);
  int source_index(std::string_view raw_name, std::size_t& guess) const;
  void require_key(const Row& row, std::string_view verb) const;
  // WHERE that names one row by `key_`, or by all columns.
  std::string where() const;
  int bind_identity(Statement& statement, int index, const Row& row) const;
  Statement& update_statement(bool set_key);
  void run_one(Statement& statement, std::string_view verb, const Row& row);
  std::string key_text(const Row& row) const;

  Database& db_;
  const MirroredTable& table_;
  const bool strict_;
  const std::vector<int> key_;          // columns that name a row; empty: all
  std::vector<std::string> raw_names_;  // of the source's columns, escaped as lines have them
  std::vector<int> targets_;            // for each, the mirror's column, or -1: not followed
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
};

}  // namespace deltamirror
