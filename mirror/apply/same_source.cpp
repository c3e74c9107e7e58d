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

}  // namespace deltamirror
