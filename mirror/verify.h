// Proves that a mirror is what PostgreSQL has, row by row, at one exact point of a busy source.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "program/program.h"

namespace deltamirror {

struct VerifyOptions {
  std::string mirror;
  std::string conninfo;
  std::filesystem::path daystream;
  bool repair = false;
};

struct VerifyResult {
  std::uint64_t rows = 0;           // compared
  std::uint64_t differences = 0;    // rows that differ, are missing or too many
  std::vector<std::string> tables;  // that have such rows, by their names in the mirror
};

// 1. The mirror is copied, at its checkpoint P. With `repair` it is the mirror itself, owned, in
// one
//    SQLite transaction that readers do not see.
// 2. A snapshot V of PostgreSQL is taken, and again while V does not see a commit up to P (one that
//    waits for a synchronous standby).
// 3. The copy is brought to V: what comes after P and V sees, is applied.
// 4. Both are compared row by row. With `repair`, rows are made as V has them, and V becomes the
//    mirror's seed snapshot: replay joins it by the same rule as after any seed.
//
// Names what differs on standard output. Throws as seed() and follow() do.
VerifyResult verify(const VerifyOptions& options, const daystream::program::Signals& signals);

}  // namespace deltamirror
