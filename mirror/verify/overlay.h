// Rows of a mirror as they are a little later: those that the stream changes in between, beside the
// mirror, which is not written to.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "daystream/transaction.h"
#include "model/mvcc_snapshot.h"
#include "sqlite/sqlite.h"
#include "store/mirrored_table.h"
#include "verify/side_rows.h"
#include "verify/touched_keys.h"

namespace deltamirror {

// A row that is changed is first fetched from the mirror; from there on the stream changes it here.
//
// Lifetime: borrows the database, which may be read-only and stays in one read transaction, and the
//           tables.
class Overlay {
 public:
  Overlay(Database& mirror, const std::vector<MirroredTable>& tables);
  Overlay(const Overlay&) = delete;
  Overlay& operator=(const Overlay&) = delete;

  // Takes up what `upto` sees of the transactions that come after the mirror. False: very many rows
  // are changed, or more than rows: a shape, a table without a key. The overlay is then of no use.
  bool take(daystream::Transaction& transaction, const MvccSnapshot& upto);

  struct Part {
    std::unique_ptr<SideRows> rows;
    std::uint64_t in_mirror = 0;  // how many of their keys the mirror has
  };
  // nullptr: nothing of the table was changed.
  const Part* part(std::uint32_t oid) const;
  // Whether the row in `batch`, which has all columns of the table, is to be looked for here.
  bool covers(std::uint32_t oid, const RowBatch& batch, std::size_t row) const {
    return !parts_.empty() && touched_.contains(oid, batch, row);
  }

 private:
  bool apply(const daystream::Change& change, std::uint64_t xid);

  Database& mirror_;
  const std::vector<MirroredTable>& tables_;
  TouchedKeys touched_;
  std::map<std::uint32_t, Part> parts_;  // by OID
};

}  // namespace deltamirror
