#include "apply/same_source.h"

#include <fmt/format.h>

#include "apply/holding.h"
#include "daystream/error.h"

namespace deltamirror {

using daystream::WrongSource;

void check_same_source(const daystream::Manifest& manifest, const std::string& daystream,
                       const Checkpoint& checkpoint, const std::string& mirror) {
  require_one_database(manifest, daystream);
  constexpr const char* kHint = "name the daystream that the mirror was seeded with";
  if (!manifest.system_identifier.empty() &&
      manifest.system_identifier != checkpoint.system_identifier) {
    throw WrongSource(
        fmt::format("daystream \"{}\" is of another cluster (system identifier {}) than mirror "
                    "\"{}\" (system identifier {})",
                    daystream, manifest.system_identifier, mirror, checkpoint.system_identifier),
        kHint);
  }
  if (!manifest.database.empty() && manifest.database != checkpoint.database) {
    throw WrongSource(fmt::format("daystream \"{}\" is of database \"{}\", mirror \"{}\" of \"{}\"",
                                  daystream, manifest.database, mirror, checkpoint.database),
                      kHint);
  }
}

}  // namespace deltamirror
