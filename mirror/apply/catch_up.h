// Brings tables that were just loaded from their snapshot to where their mirror is.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "apply/table_plan.h"
#include "daystream/reader.h"
#include "model/mvcc_snapshot.h"
#include "sqlite/sqlite.h"
#include "store/checkpoint.h"
#include "store/mirrored_table.h"

namespace deltamirror {

// A table that is loaded has changed its shape since its snapshot, or has a row that no line can
// name whole: it must be loaded again.
class ShapeChanged : public daystream::Error {
 public:
  using Error::Error;
};

// By the rule of every seed: what comes after the seam and the snapshot does not see, is applied.
// It may stop in the middle of a transaction: nobody reads the tables yet.
//
// Lifetime: borrows the database and the tables.
class CatchUp {
 public:
  CatchUp(Database& db, const daystream::Stream& daystream, const daystream::Seam& seam,
          MvccSnapshot snapshot);
  void add(const MirroredTable& table);
  // The same, with another who takes the lines of its rows.
  using Take = std::function<void(const daystream::Change&)>;
  void add(const MirroredTable& table, Take take);

  // In the caller's SQLite transaction: goes on until `at`, or until `deadline`. True: it is there,
  // or already past it, which a mirror that is behind may be. Throws ShapeChanged, and the first
  // time what Reader's constructor throws.
  bool step(const Checkpoint& at, std::chrono::steady_clock::time_point deadline);

 private:
  struct Fed {
    const MirroredTable* table;
    Take take;
  };
  daystream::Reader open() const;
  bool take_next(const Checkpoint& at);
  void check_held(const daystream::Transaction& mark) const;
  bool go_on(std::chrono::steady_clock::time_point deadline);
  void apply(const daystream::Change& change);
  bool is_ours(const daystream::Transaction& transaction) const;

  Database& db_;
  const daystream::Stream daystream_;
  const daystream::Seam seam_;
  MvccSnapshot snapshot_;
  std::optional<daystream::Reader> reader_;
  daystream::Position reached_;
  daystream::Transaction* ahead_ = nullptr;  // the reader's last, which comes after `at`
  daystream::Transaction* open_ = nullptr;   // being applied
  std::unordered_map<std::string, Fed> by_line_name_;
};

}  // namespace deltamirror
