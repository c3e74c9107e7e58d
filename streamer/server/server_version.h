// What is known to be wrong with logical decoding in older minor releases of PostgreSQL.
#pragma once

#include <string>

namespace deltastream {

// A warning of the worst bug that minor releases after `version` (as PQserverVersion() gives it)
// mended, by PostgreSQL's release notes; empty: none is known. Only the notes of 15 were read for
// this.
std::string known_faults(int version);

}  // namespace deltastream
