#include "apply/row_writer.h"

#include <fmt/format.h>

#include <algorithm>

#include "store/shared_table.h"
#include "values/value_text.h"

namespace deltamirror {

namespace {

constexpr const char* kSharedRowid = "_rowid_";

// SQLite has three names for it, and a column that is called so as well takes that one. Another
// source may give a table that they share such a column at any time: so there it is one name.
std::string rowid_name(const MirroredTable& table) {
  const auto is_taken = [&](const char* name) {
    return std::any_of(table.columns.begin(), table.columns.end(), [&](const MirrorColumn& column) {
      return sqlite3_stricmp(column.name.c_str(), name) == 0;
    });
  };
  if (table.is_shared()) {
    if (!is_taken(kSharedRowid)) return kSharedRowid;
    throw daystream::NeedsPerson(
        fmt::format("table \"{}\" has no key, and a column called \"{}\", which is SQLite's rowid "
                    "for all sources that share the table",
                    table.name, kSharedRowid),
        "give the table a key, or that column another name with \"rename\"");
  }
  for (const char* const name : {"rowid", kSharedRowid, "oid"}) {
    if (!is_taken(name)) return name;
  }
  throw daystream::NeedsPerson(
      fmt::format("table \"{}\" has no key, and columns with all three names of SQLite's rowid",
                  table.name),
      "give the table a key, or one of these columns another name with \"rename\"");
}

}  // namespace

void check_identity(const MirroredTable& table) {
  if (const SourceColumn* const missing = missing_of_key(table.shape, table.columns)) {
    throw daystream::NeedsPerson(
        fmt::format("the key of table {} has the column \"{}\" now, which is not mirrored",
                    table.shape.line_name, missing->name),
        "add it to the \"columns\" or the query of the table: without it updates and deletes "
        "cannot be followed");
  }
  if (table.key().empty()) rowid_name(table);
}

RowWriter::RowWriter(Database& db, const MirroredTable& table, bool strict)
    : db_(db),
      table_(table),
      strict_(strict),
      key_(table.key()),
      is_key_(table.columns.size()),
      set_(table.columns.size()) {
  for (const int k : key_) is_key_[k] = true;
  insert_ = db.prepare(insert_sql(table));
  delete_ = db.prepare(fmt::format("DELETE FROM {} WHERE {}", quote_name(table.name), where()));
}

// Keyless rows may have twins; one change is about one of them, whichever.
std::string RowWriter::where() const {
  if (!key_.empty()) return key_equal(table_);
  // One comparison of rows: a chain of a thousand ANDs is too deep for SQLite.
  return fmt::format("{0} = (SELECT {0} FROM {1} WHERE ({2}) IS ({3}) LIMIT 1)", rowid_name(table_),
                     quote_name(table_.name), column_list(table_),
                     question_marks(table_.columns.size()));
}

int RowWriter::bind_identity(Statement& statement, int index, const Row& row) const {
  if (key_.empty()) {
    for (const Cell& cell : row) cell.value.bind_to(statement, index++);
  } else {
    for (const int k : key_) row[k].value.bind_to(statement, index++);
  }
  return index;
}

void RowWriter::require_identity(const Row& row, std::string_view verb) const {
  const auto missing = [&](int i) {
    throw daystream::NeedsPerson(
        fmt::format("{} of table {} does not name its row: column \"{}\" is missing", verb,
                    table_.shape.line_name, table_.columns[i].name),
        "give the table a primary key or REPLICA IDENTITY FULL, then seed it again");
  };
  if (key_.empty()) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (!row[i].present) missing(static_cast<int>(i));
    }
  } else {
    for (const int k : key_) {
      if (!row[k].present || row[k].value.type == Value::Type::Null) missing(k);
    }
  }
}

std::string RowWriter::key_text(const Row& row) const {
  std::string out;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (!key_.empty() && !is_key_[i]) continue;
    if (!out.empty()) out += ", ";
    out += table_.columns[i].name + "=" + value_text(row[i].value);
    if (out.size() > 200) break;
  }
  return out;
}

void RowWriter::run_one(Statement& statement, std::string_view verb, const Row& row,
                        const Row& identity) {
  try {
    statement.step();
  } catch (const SqliteError& e) {
    if ((e.code() & 0xff) != SQLITE_CONSTRAINT) throw;
    if (!strict_) return;
    // Else it is a constraint of somebody's: a trigger that raises, an index that is unique.
    if (e.code() != SQLITE_CONSTRAINT_PRIMARYKEY && e.code() != SQLITE_CONSTRAINT_ROWID) throw;
    throw Diverged(
        fmt::format("table \"{}\" already has the row with {} that the stream's {} makes",
                    table_.name, key_text(row), verb));
  }
  statement.reset();
  if (strict_ && db_.changes() != 1) {
    throw Diverged(fmt::format("table \"{}\" lacks the row with {} that the stream's {} is about",
                               table_.name, key_text(identity), verb));
  }
}

Statement& RowWriter::update_statement(const Row& row, bool set_key) {
  for (std::size_t i = 0; i < row.size(); ++i) set_[i] = row[i].present && (set_key || !is_key_[i]);
  if (last_set_ != nullptr && *last_set_ == set_) return *last_update_;
  const auto [place, is_new] = updates_.try_emplace(set_);
  if (is_new) {
    std::string list;
    for (std::size_t i = 0; i < set_.size(); ++i) {
      if (!set_[i]) continue;
      if (!list.empty()) list += ", ";
      list += quote_name(table_.columns[i].name) + " = ?";
    }
    // Nothing but the key, or nothing at all, is followed: the row must still be there.
    if (list.empty()) {
      const std::string first = quote_name(table_.columns[key_.empty() ? 0 : key_[0]].name);
      list = first + " = " + first;
    }
    place->second = db_.prepare(
        fmt::format("UPDATE {} SET {} WHERE {}", quote_name(table_.name), list, where()));
  }
  last_set_ = &place->first;
  last_update_ = &place->second;
  return place->second;
}

void RowWriter::insert(const Row& row, std::string_view verb) {
  int index = 1;
  for (const Cell& cell : row) cell.value.bind_to(insert_, index++);
  run_one(insert_, verb, row, row);
}

void RowWriter::erase(const Row& identity, std::string_view verb) {
  bind_identity(delete_, 1, identity);
  run_one(delete_, verb, identity, identity);
}

bool RowWriter::try_erase(const Row& identity) {
  bind_identity(delete_, 1, identity);
  delete_.run();
  return db_.changes() != 0;
}

void RowWriter::update(const Row& row, const Row& identity, bool set_key) {
  Statement& statement = update_statement(row, set_key);
  int index = 1;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (set_[i]) row[i].value.bind_to(statement, index++);
  }
  bind_identity(statement, index, identity);
  run_one(statement, "update", row, identity);
}

bool RowWriter::fetch(const Row& identity, Row& found) {
  if (fetch_.raw() == nullptr) {
    fetch_ = db_.prepare(fmt::format("SELECT {} FROM {} WHERE {}", column_list(table_),
                                     quote_name(table_.name), where()));
  }
  bind_identity(fetch_, 1, identity);
  const bool is_there = fetch_.step();
  found.resize(table_.columns.size());
  for (std::size_t i = 0; is_there && i < found.size(); ++i) {
    found[i].value = value_of(sqlite3_column_value(fetch_.raw(), static_cast<int>(i)));
    found[i].keep();
  }
  fetch_.reset();
  return is_there;
}

}  // namespace deltamirror
