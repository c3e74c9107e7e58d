// Compressing one closed day (FORMAT.md, "Compressed days").
#pragma once

#include <cstdint>
#include <optional>

#include "daystream/stop.h"
#include "dir.h"
#include "packed_day.h"

namespace daystream {

struct Packed {
  std::uint64_t text_bytes = 0;
  std::uint64_t packed_bytes = 0;
};

// Writes `text`, which is all of the closed `day`, compressed into `out`, an empty file, and reads
// that back; syncs nothing. nullopt: `stop` was requested. Throws as pack_day().
std::optional<PackedSummary> pack_text(const File& text, File& out, std::int64_t day, int level,
                                       const Stop& stop);

// Replaces the plain file of `day`, which is closed and durable, by a compressed one. At any moment
// at least one of the two is there whole, also on disk.
//
// `stop` is asked now and then. Once requested, all is left as it was, and the result is nullopt.
// Throws IoError, and Corruption where the plain file is damaged or the new file does not read back
// as it; the plain file stays.
std::optional<Packed> pack_day(Dir& dir, std::int64_t day, int level, const Stop& stop);

}  // namespace daystream
