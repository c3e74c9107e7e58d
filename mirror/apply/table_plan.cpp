#include "apply/table_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "store/shared_table.h"
#include "values/value_text.h"

namespace deltamirror {

using daystream::Action;
using daystream::Change;
using daystream::ProtocolError;

namespace {

const std::string kSeedMirrorAgain =
    "somebody else wrote to the mirror, or it is damaged: \"deltamirror verify --repair\" mends "
    "it, "
    "or seed it again";

bool same_value(const Value& a, const Value& b) {
  if (a.type != b.type) return false;
  switch (a.type) {
    case Value::Type::Null:
      return true;
    case Value::Type::Integer:
      return a.integer == b.integer;
    case Value::Type::Real:
      return std::memcmp(&a.real, &b.real, sizeof a.real) == 0;
    case Value::Type::Text:
    case Value::Type::Blob:
      return a.bytes == b.bytes;
  }
  return false;
}

// SQLite has three names for it, and a column that is called so as well takes that one.
std::string rowid_name(const MirroredTable& table) {
  for (const char* const name : {"rowid", "_rowid_", "oid"}) {
    const bool taken =
        std::any_of(table.columns.begin(), table.columns.end(), [&](const MirrorColumn& column) {
          return sqlite3_stricmp(column.name.c_str(), name) == 0;
        });
    if (!taken) return name;
  }
  throw daystream::NeedsPerson(
      fmt::format("table \"{}\" has no key, and columns with all three names of SQLite's rowid",
                  table.name),
      "give the table a key, or one of these columns another name with \"rename\"");
}

}  // namespace

TablePlan::TablePlan(Database& db, const MirroredTable& table, Strictness strictness)
    : db_(db),
      table_(table),
      strict_(strictness == Strictness::Strict),
      key_(table.key()),
      reader_(table) {
  is_key_.assign(table.columns.size(), false);
  for (const int k : key_) is_key_[k] = true;
  old_.resize(table.columns.size());
  new_.resize(table.columns.size());
  set_.resize(table.columns.size());

  insert_ = db.prepare(insert_sql(table));
  delete_ = db.prepare(fmt::format("DELETE FROM {} WHERE {}", quote_name(table.name), where()));
  if (table.where) prepare_filter();
}

// Keyless rows may have twins; one change is about one of them, whichever.
std::string TablePlan::where() const {
  std::string out;
  if (!key_.empty()) {
    for (const int k : key_) {
      if (!out.empty()) out += " AND ";
      out += quote_name(table_.columns[k].name) + " = ?";
    }
    return out;
  }
  // One comparison of rows: a chain of a thousand ANDs is too deep for SQLite.
  return fmt::format("{0} = (SELECT {0} FROM {1} WHERE ({2}) IS ({3}) LIMIT 1)", rowid_name(table_),
                     quote_name(table_.name), column_list(table_),
                     question_marks(table_.columns.size()));
}

int TablePlan::bind_identity(Statement& statement, int index, const Row& row) const {
  if (key_.empty()) {
    for (const Cell& cell : row) cell.value.bind_to(statement, index++);
  } else {
    for (const int k : key_) row[k].value.bind_to(statement, index++);
  }
  return index;
}

void TablePlan::require_key(const Row& row, std::string_view verb) const {
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

std::string TablePlan::key_text(const Row& row) const {
  std::string out;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (!key_.empty() && !is_key_[i]) continue;
    if (!out.empty()) out += ", ";
    out += table_.columns[i].name + "=" + value_text(row[i].value);
    if (out.size() > 200) break;
  }
  return out;
}

void TablePlan::run_one(Statement& statement, std::string_view verb, const Row& row) {
  try {
    statement.step();
  } catch (const SqliteError& e) {
    if ((e.code() & 0xff) != SQLITE_CONSTRAINT) throw;
    if (!strict_) return;
    throw Diverged(
        fmt::format("table \"{}\" already has the row with {} that the stream's {} makes",
                    table_.name, key_text(new_), verb),
        kSeedMirrorAgain);
  }
  statement.reset();
  if (strict_ && db_.changes() != 1) {
    throw Diverged(fmt::format("table \"{}\" lacks the row with {} that the stream's {} is about",
                               table_.name, key_text(row), verb),
                   kSeedMirrorAgain);
  }
}

void TablePlan::apply(const Change& change) {
  switch (change.action) {
    case Action::Insert:
      return insert(change.columns);
    case Action::Update:
      return update(change.columns);
    case Action::Delete:
    case Action::Replace:
      if (change.identity == "none") {
        throw daystream::NeedsPerson(
            fmt::format("a delete of table {} does not name its row: the table has no key",
                        table_.source_table),
            "give it a primary key or REPLICA IDENTITY FULL, then seed the mirror again");
      }
      return change.action == Action::Delete ? erase(change.columns) : replace(change.columns);
    case Action::Truncate:
    case Action::Rewrite:
      return truncate();
    case Action::Oversize:
      throw daystream::NeedsPerson(
          fmt::format("a row of table {} is too large for the stream", table_.source_table),
          "leave the column out of the mirror with --query, then seed it again");
    default:
      throw ProtocolError(fmt::format("a line of table {} has the verb {}, which is no row's",
                                      table_.source_table, daystream::action_name(change.action)));
  }
}

void TablePlan::insert(std::string_view columns) {
  reader_.read(columns, new_);
  if (table_.where) return insert_filtered();
  int index = 1;
  for (const Cell& cell : new_) cell.value.bind_to(insert_, index++);
  run_one(insert_, "insert", new_);
}

void TablePlan::erase(std::string_view columns) {
  reader_.read(columns, old_);
  require_key(old_, "a delete");
  if (table_.where) return erase_filtered();
  bind_identity(delete_, 1, old_);
  run_one(delete_, "delete", old_);
}

void TablePlan::replace(std::string_view columns) {
  // The line's bytes are gone when the update's come: what the values borrow is copied.
  reader_.read(columns, old_);
  require_key(old_, "an update");
  for (Cell& cell : old_) cell.keep();
  replace_open_ = true;
}

Statement& TablePlan::update_statement(bool set_key) {
  for (std::size_t i = 0; i < new_.size(); ++i)
    set_[i] = new_[i].present && (set_key || !is_key_[i]);
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

void TablePlan::update(std::string_view columns) {
  reader_.read(columns, new_);
  const bool has_old = std::exchange(replace_open_, false);
  bool set_key = false;
  if (key_.empty()) {
    if (!has_old) {
      throw ProtocolError(
          fmt::format("an update of table {} lacks its old row", table_.shape.line_name));
    }
  } else if (has_old) {
    // An absent key column is an unchanged one.
    set_key = std::any_of(key_.begin(), key_.end(), [&](int k) {
      return new_[k].present && !same_value(new_[k].value, old_[k].value);
    });
  } else {
    require_key(new_, "an update");
  }
  if (table_.where && !update_filtered(has_old)) return;
  Statement& statement = update_statement(set_key);
  int index = 1;
  for (std::size_t i = 0; i < new_.size(); ++i) {
    if (set_[i]) new_[i].value.bind_to(statement, index++);
  }
  const Row& identity = has_old ? old_ : new_;
  bind_identity(statement, index, identity);
  run_one(statement, "update", identity);
}

void TablePlan::truncate() {
  db_.exec(fmt::format("DELETE FROM {}{}", quote_name(table_.name), where_own(table_)));
}

}  // namespace deltamirror
