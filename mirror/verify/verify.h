// Proves that a mirror is what PostgreSQL has, row by row, at one exact point of a busy source.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "daystream/stream.h"
#include "program/program.h"
#include "program/sample_size.h"
#include "verify/verify_report.h"

namespace deltamirror {

using daystream::program::SampleSize;

struct VerifyOptions {
  std::string mirror;
  std::string conninfo;
  daystream::Stream daystream;
  bool repair = false;
  std::string source = {};  // of a mirror of named ones: the one that is compared
  SampleSize sample;        // instead of all rows
};

// 1. The mirror is read in one read transaction, at its checkpoint P. With `repair` it is owned and
//    changed in one SQLite transaction that readers do not see.
// 2. A snapshot V of PostgreSQL is taken, and again while V does not see a commit up to P (one that
//    waits for a synchronous standby).
// 3. What comes after P and V sees is applied to an overlay of the rows that it changes; where that
//    is more than rows (a truncated table, another shape) or very many, to a copy of the mirror.
// 4. Both are compared row by row. With `repair`, rows are made as V has them, and V becomes the
//    mirror's seed snapshot: replay joins it by the same rule as after any seed.
//
// Throws as seed() and follow() do. The names of the tables that differ, as the mirror has them.
std::vector<std::string> verify(const VerifyOptions& options,
                                const daystream::program::Signals& signals, VerifyReport& report);

// The same for random blocks of PostgreSQL's rows, and, where the key is one integer, for random
// stretches of the mirror's keys. Nothing is copied or written: rows that the stream changes
// between the mirror's checkpoint and the snapshot are left out. Tables without a key are passed
// over.
void verify_sample(const VerifyOptions& options, const daystream::program::Signals& signals,
                   VerifyReport& report);

}  // namespace deltamirror
