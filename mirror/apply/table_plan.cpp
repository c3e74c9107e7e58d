#include "apply/table_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <utility>

#include "apply/untold.h"
#include "store/shared_table.h"

namespace deltamirror {

using daystream::Action;
using daystream::Change;
using daystream::ProtocolError;

namespace {

bool same_value(const Value& a, const Value& b) {
  if (a.type != b.type) return false;
  switch (a.type) {
    case Value::Type::Null:
      return true;
    case Value::Type::Integer:
      return a.integer == b.integer;
    case Value::Type::Real:
      return std::bit_cast<std::uint64_t>(a.real) == std::bit_cast<std::uint64_t>(b.real);
    case Value::Type::Text:
    case Value::Type::Blob:
      return a.bytes == b.bytes;
  }
  return false;
}

}  // namespace

TablePlan::TablePlan(Database& db, const MirroredTable& table, Strictness strictness)
    : db_(db),
      table_(table),
      reader_(table),
      writer_(db, table, strictness == Strictness::Strict),
      old_(table.columns.size()),
      new_(table.columns.size()) {
  if (table.choice.where) filtered_.emplace(table_, writer_);
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
      throw_untold(change, table_.source_table,
                   "leave the column out of the mirror with --query, then seed it again");
    default:
      throw ProtocolError(fmt::format("a line of table {} has the verb {}, which is no row's",
                                      table_.source_table, daystream::action_name(change.action)));
  }
}

void TablePlan::insert(std::string_view columns) {
  reader_.read(columns, new_);
  filtered_ ? filtered_->insert(new_) : writer_.insert(new_, "insert");
}

void TablePlan::erase(std::string_view columns) {
  reader_.read(columns, old_);
  writer_.require_identity(old_, "a delete");
  filtered_ ? filtered_->erase(old_) : writer_.erase(old_, "delete");
}

void TablePlan::replace(std::string_view columns) {
  // The line's bytes are gone when the update's come: what the values borrow is copied.
  reader_.read(columns, old_);
  writer_.require_identity(old_, "an update");
  for (Cell& cell : old_) cell.keep();
  replace_open_ = true;
}

void TablePlan::update(std::string_view columns) {
  reader_.read(columns, new_);
  const bool has_old = std::exchange(replace_open_, false);
  const bool set_key = changes_key(has_old);
  if (filtered_ && !filtered_->update(new_, has_old ? &old_ : nullptr)) return;
  writer_.update(new_, has_old ? old_ : new_, set_key);
}

// Throws where the line does not name its row.
bool TablePlan::changes_key(bool has_old) const {
  if (has_old) {
    // An absent key column is an unchanged one.
    return std::any_of(writer_.key().begin(), writer_.key().end(), [&](int k) {
      return new_[k].present && !same_value(new_[k].value, old_[k].value);
    });
  }
  if (writer_.key().empty()) {
    throw ProtocolError(
        fmt::format("an update of table {} lacks its old row", table_.shape.line_name));
  }
  writer_.require_identity(new_, "an update");
  return false;
}

void TablePlan::truncate() {
  db_.exec(fmt::format("DELETE FROM {}{}", quote_name(table_.name), where_own(table_)));
}

}  // namespace deltamirror
