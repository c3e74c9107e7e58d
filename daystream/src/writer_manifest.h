// The manifest of the directory that a Writer opens.
#pragma once

#include <filesystem>
#include <optional>

#include "daystream/lsn.h"
#include "daystream/manifest.h"
#include "daystream/writer.h"
#include "dir.h"

namespace daystream {

// That of `dir`; where it has none, one is made of `wanted` and what is known now. Throws
// WrongSource where it is of another source than `wanted`.
Manifest open_manifest(Dir& dir, const Manifest& wanted, std::optional<Lsn> confirmed_flush,
                       const WriterOptions& options);

}  // namespace daystream
