// Which rows of a running mirror differ from PostgreSQL's, found on a thread of its own: its owner
// goes on following meanwhile.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "seed/live_source.h"
#include "values/owned_value.h"

namespace deltamirror {

// Too much differs for it to be worth while to write row by row, or it is not known which rows
// differ.
class TooDifferent : public daystream::Error {
 public:
  using Error::Error;
};

struct DifferentRow {
  std::size_t table = 0;  // index into Differences::tables
  std::vector<OwnedValue> key;
  std::vector<OwnedValue> row;  // PostgreSQL's; empty: it has none
};

struct Differences {
  LiveSnapshot at;
  std::vector<MirroredTable> tables;  // the mirror's, whose seeded_rows are PostgreSQL's count
  std::vector<DifferentRow> rows;     // at most 64 MiB
};
using DifferenceSource = SessionThread<Differences>;

// Compares the tables of the request, by a read-only connection of its own. All must be in the
// mirror already, and have a key. `rows`: how many are compared so far; outlives the result, which
// throws what went wrong, TooDifferent too.
//
// The rows of a mirror that stands still (from_its_seam) are compared as they are. Else they are
// brought to the snapshot, which sees all that the mirror has.
std::unique_ptr<DifferenceSource> start_comparing(const LiveSeedRequest& request,
                                                  const daystream::program::Signals& signals,
                                                  std::atomic<std::uint64_t>& rows);

}  // namespace deltamirror
