// What followed tables are called, here and in PostgreSQL, and which wish each of them is about.
#pragma once

#include <string>

#include "apply/table_states.h"

namespace deltamirror {

// A rename in PostgreSQL is followed, as long as no other table is wished under the new name. Names
// may be exchanged within a transaction, so what follows from them is settled at its end.
//
// Lifetime: borrows the database and the tables.
class TableNames {
 public:
  TableNames(Database& db, TableStates& tables) : db_(db), tables_(tables) {}

  // A line calls a table otherwise than before: `before` is raw, its shape has the name of now.
  void take_rename(TrackedTable& table, const std::string& before);
  // The same table's name in SQLite goes, so that others may have it until the end.
  void give_way(TrackedTable& table);
  // A table that we do not follow has that name: where it is wished, it is the table that is wished
  // from here on. No line says which rows it has.
  void take_namesake(const daystream::Change& change);

  // At the end of a transaction, in this order: what is wished of which table, and how each that is
  // followed then is called here.
  void settle_wishes();
  void settle_names();

 private:
  void take_freed_names();
  bool settle_one_wish();
  void exchange_wishes(MirroredTable& one, MirroredTable& other);
  bool may_be_called(const MirroredTable& table, const std::string& name) const;
  void settle_name(TrackedTable& table);

  Database& db_;
  TableStates& tables_;
  bool renamed_ = false;  // a table, in this transaction
};

}  // namespace deltamirror
