// What a Writer does with what it finds in its directory (docs/guarantees.md#nothing-twice).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "daystream/lsn.h"
#include "daystream/writer.h"
#include "dir.h"
#include "scanner.h"

namespace daystream {

// Where a Writer goes on: everything before is checked, written again where it may never have
// reached the disk, and synced.
struct Recovered {
  std::unique_ptr<File> file;  // the last day's; nullptr: the stream is empty
  std::int64_t day = 0;
  ScanState state;             // its end; in_transaction: an `abort` is due
  Lsn lsn;                     // of the last commit or mark
  std::uint32_t open_xid = 0;  // of the transaction to abort
  Recovery report;
};

// Throws Corruption where bytes are damaged that were confirmed, or cannot have been torn by a
// crash. Nothing is changed before all was checked.
Recovered recover(Dir& dir, std::optional<Lsn> confirmed_flush);

}  // namespace daystream
