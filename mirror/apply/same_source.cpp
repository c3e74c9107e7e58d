#include "apply/same_source.h"

#include <fmt/format.h>

#include "apply/holding.h"
#include "daystream/error.h"

namespace deltamirror {

void check_same_source(const daystream::Manifest& manifest, const std::string& daystream,
                       const Checkpoint& checkpoint, const std::string& mirror) {
  require_one_database(manifest, daystream);
  daystream::require_same_source(fmt::format("daystream \"{}\"", daystream), manifest.source(),
                                 fmt::format("mirror \"{}\"", mirror),
                                 {checkpoint.system_identifier, checkpoint.database, {}},
                                 "name the daystream that the mirror was seeded with");
}

void check_reaches(const daystream::Stream& daystream, const Checkpoint& checkpoint) {
  const auto extent = daystream.extent();
  if (!extent || extent->last_lsn >= checkpoint.lsn) return;
  throw StreamBehind(
      fmt::format("daystream \"{}\" ends at {}, and the mirror is at {} already",
                  daystream.address(), extent->last_lsn.text(), checkpoint.lsn.text()),
      "a copy that is behind comes by itself; else name the daystream that is written now");
}

}  // namespace deltamirror
