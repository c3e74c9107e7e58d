// The rows of a partition that goes, of a partitioned table that is one table in the mirror.
#pragma once

#include <cstdint>
#include <optional>

#include "sqlite/sqlite.h"
#include "store/mirrored_table.h"

namespace deltamirror {

// Deletes the rows of the partition with that OID, in the caller's transaction, and forgets it; how
// many there were. nullopt: which they are is not known, and nothing was done.
std::optional<std::uint64_t> erase_partition(Database& db, MirroredTable& root, std::uint32_t oid,
                                             const TypeNames& types);

}  // namespace deltamirror
