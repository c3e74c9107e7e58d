#include "seed/shadow_load.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "store/shared_table.h"

namespace deltamirror {

ShadowLoad::ShadowLoad(Database& db, std::vector<SeedTable>& tables)
    : db_(db), tables_(tables), loading_(tables.size()) {
  WriteTransaction transaction(db_);
  const std::vector<MirroredTable> all = load_tables(db_);
  for (const SeedTable& table : tables_) {
    const auto before = std::find_if(all.begin(), all.end(), [&](const MirroredTable& there) {
      return there.source == table.mirrored.source && there.name == table.mirrored.name;
    });
    shadows_.push_back(std::make_unique<Shadow>(
        db_, table.mirrored, before == all.end() ? IndexColumns() : before->indexes));
  }
  transaction.commit();
}

void ShadowLoad::begin(LiveRows batch) {
  batch_ = std::move(batch);
  next_row_ = 0;
}

void ShadowLoad::load(std::chrono::steady_clock::time_point deadline) {
  WriteTransaction transaction(db_);
  const bool loaded = load_rows(deadline);
  transaction.commit();
  if (loaded) batch_.reset();
}

// False: some are left.
bool ShadowLoad::load_rows(std::chrono::steady_clock::time_point deadline) {
  const MirroredTable& table = shadows_.at(batch_->table)->table();
  if (loading_ != batch_->table) {
    loading_ = batch_->table;
    insert_ = db_.prepare(insert_sql(table));
  }
  MirroredTable& counted = tables_[batch_->table].mirrored;
  const RowBatch& rows = batch_->rows;
  for (; next_row_ < rows.rows(); ++next_row_) {
    if (next_row_ % 64 == 63 && std::chrono::steady_clock::now() >= deadline) return false;
    for (std::size_t i = 0; i < rows.columns(); ++i) {
      rows.value(next_row_, i).bind_to(insert_, static_cast<int>(i) + 1);
    }
    try {
      insert_.run();
    } catch (const SqliteError& e) {
      // Of a table itself, an index that somebody has put beside it says so.
      if ((e.code() & 0xff) != SQLITE_CONSTRAINT || counted.choice.query.empty()) throw;
      throw daystream::ConfigError(
          fmt::format("the query for \"{}\" returns a row twice", counted.name),
          "it must return each row of the table once");
    }
    ++counted.seed.rows;
    ++rows_;
  }
  return true;
}

}  // namespace deltamirror
