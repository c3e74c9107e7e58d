// Whether a daystream is the one that a mirror follows.
#pragma once

#include <string>

#include "daystream/manifest.h"
#include "store/checkpoint.h"

namespace deltamirror {

// Throws WrongSource where `manifest`, read from `daystream`, is of another cluster or database
// than `mirror`, which is at `checkpoint`. What a manifest does not tell is not compared.
void check_same_source(const daystream::Manifest& manifest, const std::string& daystream,
                       const Checkpoint& checkpoint, const std::string& mirror);

}  // namespace deltamirror
