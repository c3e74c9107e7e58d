// Whether a daystream is the one that a mirror follows, and its sources are different ones.
#pragma once

#include <string>

#include "daystream/error.h"
#include "daystream/manifest.h"
#include "daystream/stream.h"
#include "store/checkpoint.h"

namespace deltamirror {

// Throws WrongSource where `manifest`, read from `daystream`, is of another cluster or database
// than `mirror`, which is at `checkpoint`. What a manifest does not say is not compared.
void check_same_source(const daystream::Manifest& manifest, const std::string& daystream,
                       const Checkpoint& checkpoint, const std::string& mirror);

// The stream ends before the mirror: it is a copy that is behind and comes by itself, or one that
// nothing will ever be written to again. Nobody can tell which, and it has nothing for the mirror.
class StreamBehind : public daystream::Error {
 public:
  using Error::Error;
  bool retryable() const noexcept override { return true; }
};

// Throws StreamBehind where `daystream` has not come to `checkpoint`.
void check_reaches(const daystream::Stream& daystream, const Checkpoint& checkpoint);

// Throws WrongSource where two sources of a mirror are one database: its changes would come twice.
void require_other_database(const std::string& one, const daystream::SourceIdentity& of_one,
                            const std::string& other, const daystream::SourceIdentity& of_other);

}  // namespace deltamirror
