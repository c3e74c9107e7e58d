#include "apply/same_source.h"

#include <fmt/format.h>

#include "apply/holding.h"
#include "daystream/error.h"

namespace deltamirror {

void check_same_source(const daystream::Manifest& manifest, const std::string& daystream,
                       const Checkpoint& checkpoint, const std::string& mirror) {
  require_one_database(manifest, daystream);
  daystream::require_same_source(fmt::format("daystream \"{}\"", daystream), manifest.source(),
                                 fmt::format("mirror \"{}\"", mirror), checkpoint.identity(),
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

void require_other_database(const std::string& one, const daystream::SourceIdentity& of_one,
                            const std::string& other, const daystream::SourceIdentity& of_other) {
  if (of_one != of_other) return;
  throw daystream::WrongSource(
      fmt::format("sources \"{}\" and \"{}\" are the same database: \"{}\" of cluster {}", one,
                  other, of_one.database, of_one.system_identifier),
      "name each database once, with all of its tables");
}

}  // namespace deltamirror
