#include "apply/filtered_rows.h"

#include <fmt/format.h>

#include <algorithm>

#include "apply/needs_reseed.h"
#include "filter/row_filter.h"

namespace deltamirror {

FilteredRows::FilteredRows(const MirroredTable& table, RowWriter& writer)
    : table_(table), writer_(writer) {
  for (const int attnum : table_.choice.where->attnums()) {
    const MirrorColumn* const found = column_of(table_.columns, attnum);
    if (found == nullptr) {
      throw daystream::NeedsPerson(
          fmt::format("table \"{}\" lacks a column that its where reads", table_.name),
          "remove it from the mirror and seed it again");
    }
    columns_.push_back(static_cast<std::size_t>(found - table_.columns.data()));
  }
  values_.resize(columns_.size());
}

void FilteredRows::insert(const Row& row) {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    values_[i] = &row[columns_[i]].value;  // what is absent is NULL
  }
  if (table_.choice.where->evaluate(values_).is_true()) writer_.insert(row, "insert");
}

// Where the old row says whether the mirror has it.
void FilteredRows::check_old(const Row& old, bool exists) const {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const Cell& cell = old[columns_[i]];
    values_[i] = cell.present ? &cell.value : nullptr;
  }
  const Truth fitted = table_.choice.where->evaluate(values_);
  if (!writer_.is_strict() || (exists ? fitted.may_be_true() : !fitted.is_true())) return;
  throw Diverged(fmt::format("table \"{}\" {} the row with {}, which {} its where", table_.name,
                             exists ? "has" : "lacks", writer_.key_text(old),
                             exists ? "did not fit" : "fitted"));
}

void FilteredRows::erase(const Row& old) {
  check_old(old, writer_.try_erase(old));
}

// The row enters the filter: what its line leaves out (TOAST values that did not change) only the
// old row says, or PostgreSQL.
void FilteredRows::complete(Row& row, const Row* old) const {
  for (std::size_t i = 0; i < row.size(); ++i) {
    Cell& cell = row[i];
    if (cell.present) continue;
    if (old == nullptr || !(*old)[i].present) {
      throw NeedsReseed(
          fmt::format(
              "the row with {} of table {} now fits its where, but the stream does not tell "
              "its column \"{}\", which did not change",
              writer_.key_text(row), table_.source_table, table_.columns[i].name),
          table_.shape.oid, table_.shape.line_name);
    }
    cell.value = (*old)[i].value;
    cell.present = true;
  }
}

bool FilteredRows::update(Row& row, const Row* old) {
  const Row& identity = old != nullptr ? *old : row;
  const bool exists = writer_.fetch(identity, there_);
  if (old != nullptr) check_old(*old, exists);
  bool told = false;  // at least one of the filter's columns that may be another now
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const std::size_t column = columns_[i];
    const bool knows_old = old != nullptr && (*old)[column].present;
    told = told || (row[column].present && (old != nullptr || !writer_.is_key(column)));
    values_[i] = row[column].present ? &row[column].value
                 : knows_old         ? &(*old)[column].value
                 : exists            ? &there_[column].value
                                     : nullptr;
  }
  const Truth fits = table_.choice.where->evaluate(values_);
  if (exists) {
    if (fits.is_true()) return true;
    writer_.erase(identity, "update");
    return false;
  }
  // It did not fit before; what did not change does not make it fit.
  if (!fits.may_be_true() || !told) return false;
  complete(row, old);  // throws where a column of the filter is not known, too
  writer_.insert(row, "update");
  return false;
}

}  // namespace deltamirror
