// The rows of tables on their way into shadows of these.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "seed/live_source.h"
#include "seed/shadow.h"

namespace deltamirror {

// In SQLite transactions of its own, which may end in the middle of a batch.
//
// Lifetime: borrows the database and the tables, and counts the rows of these.
class ShadowLoad {
 public:
  // Makes a shadow for each of them.
  ShadowLoad(Database& db, std::vector<SeedTable>& tables);

  const std::vector<std::unique_ptr<Shadow>>& shadows() const noexcept { return shadows_; }
  std::uint64_t rows() const noexcept { return rows_; }  // that are there

  bool is_loading() const noexcept { return batch_.has_value(); }
  // Of the table that is.
  const std::string& name() const { return tables_.at(batch_->table).mirrored.name; }
  // With none being loaded.
  void begin(LiveRows batch);
  // Loads of the batch until `deadline`. Throws ConfigError where a row of a query comes twice.
  void load(std::chrono::steady_clock::time_point deadline);
  // All have come: no statement on a shadow is alive any more.
  void end() { insert_ = Statement(); }

 private:
  bool load_rows(std::chrono::steady_clock::time_point deadline);

  Database& db_;
  std::vector<SeedTable>& tables_;
  std::vector<std::unique_ptr<Shadow>> shadows_;
  std::optional<LiveRows> batch_;
  std::size_t next_row_ = 0;  // in it
  std::size_t loading_;       // the table that insert_ is about
  Statement insert_;
  std::uint64_t rows_ = 0;
};

}  // namespace deltamirror
