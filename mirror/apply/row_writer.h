// The statements that change single rows of a mirrored table.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "apply/row_reader.h"
#include "sqlite/sqlite.h"
#include "store/mirrored_table.h"

namespace deltamirror {

// A mirror's row is not what the stream says it was: somebody else wrote to the file, or rows were
// lost. Only a repair or a new seed helps.
class Diverged : public daystream::NeedsPerson {
 public:
  explicit Diverged(const std::string& message, const std::string& hint = kMendIt)
      : NeedsPerson(message, hint) {}
  inline static const std::string kMendIt =
      "somebody else wrote to the mirror, or it is damaged: \"deltamirror verify --repair\" mends "
      "it, or seed it again";
};

// Throws NeedsPerson where SQLite could not tell one row of `table` from another.
void check_identity(const MirroredTable& table);

// An identity is a row of which at least the key is present; all of it where the table has no key:
// then twins are one as good as the other. `verb`: of the line, for messages.
//
// Strict: an update or delete that does not hit exactly one row, and an insert that meets one,
// throw Diverged. There is no INSERT OR REPLACE: it would hide a loss.
//
// Lifetime: borrows the database and the table; statements die with it.
class RowWriter {
 public:
  RowWriter(Database& db, const MirroredTable& table, bool strict);

  bool is_strict() const noexcept { return strict_; }
  const std::vector<int>& key() const noexcept { return key_; }  // columns; empty: there is none
  bool is_key(std::size_t column) const { return is_key_[column]; }
  // Throws NeedsPerson where `row` is no identity.
  void require_identity(const Row& row, std::string_view verb) const;
  std::string key_text(const Row& row) const;

  void insert(const Row& row, std::string_view verb);
  void erase(const Row& identity, std::string_view verb);
  // False: there was no such row.
  bool try_erase(const Row& identity);
  // Sets what is present in `row`; its key only with `set_key`.
  void update(const Row& row, const Row& identity, bool set_key);
  // All columns of the row with that identity; false: there is none.
  bool fetch(const Row& identity, Row& found);

 private:
  std::string where() const;
  int bind_identity(Statement& statement, int index, const Row& row) const;
  Statement& update_statement(const Row& row, bool set_key);
  void run_one(Statement& statement, std::string_view verb, const Row& row, const Row& identity);

  Database& db_;
  const MirroredTable& table_;
  const bool strict_;
  const std::vector<int> key_;
  std::vector<bool> is_key_;
  Statement insert_;
  Statement delete_;
  Statement fetch_;  // prepared when it is asked for
  // By which columns are SET: a TOASTed value that did not change is not in the line.
  std::map<std::vector<bool>, Statement> updates_;
  std::vector<bool> set_;  // scratch for update()
  const std::vector<bool>* last_set_ = nullptr;
  Statement* last_update_ = nullptr;
};

}  // namespace deltamirror
