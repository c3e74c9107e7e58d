// What is known to be wrong with logical decoding in older minor releases of PostgreSQL.
#pragma once

#include <string>

namespace deltastream {

// A warning of the worst that later minor releases than `version` (as PQserverVersion() has it)
// mended, by PostgreSQL's release notes; empty: nothing that we know of. Other major versions than
// 15 have notes of their own, which nobody has read for this.
std::string known_faults(int version);

}  // namespace deltastream
