// Writes the changes of one table into its history.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "daystream/line.h"
#include "daystream/lsn.h"
#include "daystream/position.h"
#include "sqlite/sqlite.h"
#include "store/mirrored_table.h"

namespace deltamirror {

// Where and when the line stands.
struct LineMoment {
  daystream::Position position;
  daystream::Lsn lsn;        // of its commit
  std::int64_t time_us = 0;  // of its commit
};

// What a column has in rows from before a change of shape: SQL over the row as it was.
struct CarriedValue {
  std::string column;
  std::string sql;
  bool is_default = false;  // of a new column, and no other's value
};

// Lifetime: borrows the database and the table, whose shape must not change; statements die with
//           it.
class HistoryWriter {
 public:
  HistoryWriter() = default;
  HistoryWriter(const HistoryWriter&) = delete;
  HistoryWriter& operator=(const HistoryWriter&) = delete;
  virtual ~HistoryWriter() = default;

  // One line of the table's rows, or truncate, rewrite, drop, in the order of the stream. In the
  // caller's transaction.
  virtual void apply(const daystream::Change& change, const LineMoment& moment) = 0;
  // The table has changed its shape to that of now, and each row that is there has other values
  // with it, which no line tells.
  virtual void carry(const std::vector<CarriedValue>& values, const LineMoment& moment) = 0;
  virtual bool replace_open() const noexcept = 0;
};

std::unique_ptr<HistoryWriter> make_history_writer(Database& db, const MirroredTable& history);

}  // namespace deltamirror
