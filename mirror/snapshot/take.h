// A snapshot of a mirror: a consistent copy in one file, made while the mirror runs. Any host
// starts a mirror from it (copy it, `deltamirror run`) and catches up from the daystream.
#pragma once

#include <optional>
#include <string>

#include "program/program.h"
#include "snapshot/rotation.h"

namespace deltamirror {

enum class SnapshotForm {
  Compact,  // rows written again, in order, without free pages: smaller, and faster to read
  Raw       // page by page: faster to make
};

struct SnapshotOptions {
  std::string mirror;
  std::string out;  // a new file; or a directory, or s3://BUCKET/PREFIX: then the name is made of
                    // the mirror's and the time
  SnapshotForm form = SnapshotForm::Compact;
  std::optional<Retention> keep;  // without a name: which ones stay once this one is there
};

// Reads as any reader does: neither the owner nor other readers wait for it. The file is on disk
// under its name only when it is complete; it keeps no log of its own, so that it is one file.
//
// In object storage it is there, whole, with its SHA-256; meanwhile it lies beside the mirror.
//
// Returns the snapshot's name. Throws Error where the file exists, the mirror is none, there is not
// enough room, or a stop was requested; then nothing is left.
std::string take_snapshot(const SnapshotOptions& options,
                          const daystream::program::Signals& signals);

}  // namespace deltamirror
