// A table of which the mirror has the rows that a `where` chooses.
//
// What is checked as strictly as everywhere: an INSERT that fits must not meet a row; and where the
// old row's columns that the filter reads are logged (all of them with REPLICA IDENTITY FULL, else
// those of the key), the mirror has the row if and only if it fitted. What cannot be checked:
// whether a row of which only the key is logged should have been here. Then its absence is taken to
// mean that it did not fit, and a row that somebody else has deleted from the mirror is missed
// until it changes into the filter or verify finds it.
#include <fmt/format.h>

#include <algorithm>

#include "apply/needs_reseed.h"
#include "apply/table_plan.h"
#include "filter/row_filter.h"

namespace deltamirror {

namespace {

const std::string kReseed =
    "somebody else wrote to the mirror, or it is damaged: \"deltamirror verify --repair\" mends "
    "it, or seed it again";

}  // namespace

void TablePlan::prepare_filter() {
  for (const int attnum : table_.where->attnums()) {
    const auto found = std::find_if(table_.columns.begin(), table_.columns.end(),
                                    [&](const MirrorColumn& c) { return c.attnum == attnum; });
    if (found == table_.columns.end()) {
      throw daystream::NeedsPerson(
          fmt::format("table \"{}\" lacks a column that its where reads", table_.name),
          "remove it from the mirror and seed it again");
    }
    filter_columns_.push_back(static_cast<int>(found - table_.columns.begin()));
  }
  filter_values_.resize(filter_columns_.size());
  there_.resize(table_.columns.size());
  std::string names;
  for (const MirrorColumn& column : table_.columns) {
    names += (names.empty() ? "" : ", ") + quote_name(column.name);
  }
  fetch_ = db_.prepare(
      fmt::format("SELECT {} FROM {} WHERE {}", names, quote_name(table_.name), where()));
}

void TablePlan::insert_filtered() {
  for (std::size_t i = 0; i < filter_columns_.size(); ++i) {
    filter_values_[i] = &new_[filter_columns_[i]].value;  // what is absent is NULL
  }
  if (!table_.where->evaluate(filter_values_).is_true()) return;
  int index = 1;
  for (const Cell& cell : new_) cell.value.bind_to(insert_, index++);
  run_one(insert_, "insert", new_);
}

// Where the old row tells whether the mirror has it.
void TablePlan::check_old(bool exists) const {
  for (std::size_t i = 0; i < filter_columns_.size(); ++i) {
    const Cell& cell = old_[filter_columns_[i]];
    filter_values_[i] = cell.present ? &cell.value : nullptr;
  }
  const Truth fitted = table_.where->evaluate(filter_values_);
  if (!strict_ || (exists ? fitted.may_be_true() : !fitted.is_true())) return;
  throw Diverged(
      fmt::format("table \"{}\" {} the row with {}, which {} its where", table_.name,
                  exists ? "has" : "lacks", key_text(old_), exists ? "did not fit" : "fitted"),
      kReseed);
}

void TablePlan::erase_filtered() {
  bind_identity(delete_, 1, old_);
  delete_.run();
  check_old(db_.changes() != 0);
}

bool TablePlan::fetch(const Row& identity) {
  bind_identity(fetch_, 1, identity);
  const bool found = fetch_.step();
  for (std::size_t i = 0; found && i < there_.size(); ++i) {
    Cell& cell = there_[i];
    sqlite3_value* const stored = sqlite3_column_value(fetch_.raw(), static_cast<int>(i));
    const int type = sqlite3_value_type(stored);
    switch (type) {
      case SQLITE_INTEGER:
        cell.value = Value::of_integer(sqlite3_value_int64(stored));
        break;
      case SQLITE_FLOAT:
        cell.value = Value{Value::Type::Real, 0, sqlite3_value_double(stored), {}};
        break;
      case SQLITE_TEXT:
      case SQLITE_BLOB: {
        const auto* const data = static_cast<const char*>(sqlite3_value_blob(stored));
        cell.unescaped.assign(data == nullptr ? "" : data,
                              static_cast<std::size_t>(sqlite3_value_bytes(stored)));
        cell.value =
            type == SQLITE_TEXT ? Value::of_text(cell.unescaped) : Value::of_blob(cell.unescaped);
        break;
      }
      default:
        cell.value = Value{};
    }
  }
  fetch_.reset();
  return found;
}

// The row enters the filter: what its line leaves out (TOAST values that did not change) only the
// old row tells, or PostgreSQL.
void TablePlan::complete(bool has_old) {
  for (std::size_t i = 0; i < new_.size(); ++i) {
    Cell& cell = new_[i];
    if (cell.present) continue;
    if (!has_old || !old_[i].present) {
      throw NeedsReseed(
          fmt::format(
              "the row with {} of table {} now fits its where, but the stream does not tell "
              "its column \"{}\", which did not change",
              key_text(new_), table_.source_table, table_.columns[i].name),
          table_.shape.oid, table_.shape.line_name);
    }
    cell.value = old_[i].value;
    cell.present = true;
  }
}

bool TablePlan::update_filtered(bool has_old) {
  const Row& identity = has_old ? old_ : new_;
  const bool exists = fetch(identity);
  if (has_old) check_old(exists);
  bool told = false;  // at least one of the filter's columns that may be another now
  for (std::size_t i = 0; i < filter_columns_.size(); ++i) {
    const auto column = static_cast<std::size_t>(filter_columns_[i]);
    told = told || (new_[column].present && (has_old || !is_key_[column]));
    filter_values_[i] = new_[column].present              ? &new_[column].value
                        : has_old && old_[column].present ? &old_[column].value
                        : exists                          ? &there_[column].value
                                                          : nullptr;
  }
  const Truth fits = table_.where->evaluate(filter_values_);
  if (exists) {
    if (fits.is_true()) return true;
    bind_identity(delete_, 1, identity);
    run_one(delete_, "update", identity);
    return false;
  }
  // It did not fit before; what did not change does not make it fit.
  if (!fits.may_be_true() || !told) return false;
  complete(has_old);  // throws where a column of the filter is not known, too
  int index = 1;
  for (const Cell& cell : new_) cell.value.bind_to(insert_, index++);
  run_one(insert_, "update", new_);
  return false;
}

}  // namespace deltamirror
