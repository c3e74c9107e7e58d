// Makes the mirror as it was at a place in the past: from a snapshot, and the daystream since.
#pragma once

#include <string>

#include "daystream/stream.h"
#include "program/program.h"

namespace deltamirror {

struct RestoreOptions {
  std::string out;  // the new mirror
  // A snapshot or mirror; or a directory, s3://BUCKET/PREFIX or the URL of a stream at a server
  // that has snapshots: its newest that is not past `to`.
  std::string snapshot;
  daystream::Stream daystream;  // empty: where each source was read last, or as configured
  // As people write a time, an LSN or a position of the daystream; `latest`: all there is.
  //
  // The result has every transaction up to there and none after: with a time, the stream is taken
  // up to the first transaction that was committed later (by PostgreSQL's clock). Of several
  // sources each is brought there, and only to a time, or `latest`; with `source` that one is
  // brought there, and the others to the time of its last commit.
  std::string to;
  std::string source = {};
  std::string config_file = {};  // says where named sources are read; empty: as they were last
};

// The file gets its name only when it is complete. Throws ConfigError on a bad place, Error where
// the snapshot is past it, the daystream ends before it (with a time: has not been seen to go
// past it), or a stop was requested; and what following a daystream throws. Then nothing is left.
void restore(const RestoreOptions& options, const daystream::program::Signals& signals);

}  // namespace deltamirror
