// The tables of a newer snapshot of another mirror, as a live seed takes them.
#pragma once

#include <memory>
#include <string>

#include "seed/live_source.h"

namespace deltamirror {

// A snapshot that was fetched brings the mirror no further: it is not newer, the stream does not go
// on from it, or it is not what it should be. Another one may.
class UnfitSnapshot : public daystream::Error {
 public:
  using Error::Error;
};
inline const std::string kTakeAnother =
    "take another one with \"deltamirror snapshot\", of a mirror that has come further";

// In order: LiveSnapshot, LiveRows…, LiveEnd, of the request's snapshot. The stream must go on from
// its place, and that must come after the mirror's own, where the mirror is to go there. While the
// stream does not have it yet, the snapshot stays here. Only rows are taken from it, and how lines
// are read at that place: what is asked for, and what else the file's schema has, is the mirror's
// own. Fetches, and all else, on its thread: what is wrong comes out of try_next(), UnfitSnapshot
// and daystream::remote::NoSnapshot too.
std::unique_ptr<LiveSource> start_taking_over(const LiveSeedRequest& request);

}  // namespace deltamirror
