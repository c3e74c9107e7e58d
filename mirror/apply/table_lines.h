// What the stream says about tables as a whole: their shape, their end, their partitions, and
// whether it holds them.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "apply/history_writer.h"
#include "apply/reshape.h"
#include "apply/table_names.h"
#include "apply/table_states.h"
#include "daystream/manifest.h"
#include "daystream/transaction.h"

namespace deltamirror {

// Each take_…() is about one line of the source transaction that TableStates::begin_transaction()
// has begun; what a table cannot be followed through makes it leave.
//
// Lifetime: borrows the database, the commit and the tables.
class TableLines {
 public:
  // `holding`: what the stream holds from the checkpoint on, as its manifest says.
  TableLines(Database& db, MirrorCommit& commit, TableStates& tables,
             std::optional<daystream::Holding> holding);

  // Stop: take_schema() and take_drop() throw NeedsPerson.
  void set_shape_policy(ShapePolicy policy) noexcept { shape_policy_ = policy; }
  // What comes has rows of these tables only (apply/asked_tables.h); empty: of all. take_schema()
  // throws TableNotAsked where it meets a followed table by another name, check_asked() where one
  // was put in place since.
  void set_asked(std::string tables) noexcept { asked_ = std::move(tables); }
  void check_asked() const;
  // The types of the source's database, as a snapshot has them.
  void learn(const TypeNames& types);
  // Tables that the stream does not hold are waited for from `position` on.
  void check_held(daystream::Position position);

  void take_mark(const daystream::Transaction& mark);
  void take_schema(const daystream::Change& change, const LineMoment& moment);
  void take_drop(const daystream::Change& change, const LineMoment& moment);
  // A line of a partition, which names the root that it belongs to.
  void take_partition(const daystream::Change& change);
  // The source transaction ends, at `lsn`.
  void finish(daystream::Lsn lsn);

 private:
  void check_policy(const TrackedTable& table, const std::string& what) const;
  void check_asked(const std::string& line_name) const;
  bool take_holding(TrackedTable& table);
  bool take_holding(TrackedTable& table, daystream::Position position);
  bool take_partitioning(TrackedTable& table, bool is_partition);
  // True: it is not followed any more.
  bool leave_its_name(TrackedTable& followed, const daystream::Change& change);
  bool take_rows_of(TrackedTable& root, const daystream::Change& partition);
  void tell_change(const TrackedTable& table, const SchemaLine& line) const;
  void take_change(TrackedTable& table, const SchemaLine& line, const LineMoment& moment);
  bool can(TrackedTable& table, const SchemaLine& line, const std::function<void()>& act);
  Reshaped reshape_table(TrackedTable& table, const SchemaLine& line);
  Reshaped take_shape(MirroredTable& table, const SchemaLine& line);

  Database& db_;
  MirrorCommit& commit_;
  TableStates& tables_;
  TableNames names_;
  std::optional<daystream::Holding> holding_;
  TypeNames types_;
  ShapePolicy shape_policy_ = ShapePolicy::Follow;
  std::string asked_;
};

}  // namespace deltamirror
