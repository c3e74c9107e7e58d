// Where a group of a stream that is merged of several databases came from: what its end line, and
// its marks, say of that (FORMAT.md, "Merged of several databases").
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daystream/line.h"
#include "daystream/lsn.h"
#include "daystream/manifest.h"
#include "daystream/position.h"
#include "daystream/stream.h"

namespace daystream::command {

// A place in one of the sources: a commit, mark or gap line of it.
struct SourcePlace {
  Position position = Position::begin();
  Lsn lsn;                   // of a commit or mark; 0/0: of a gap
  std::int64_t turn_us = 0;  // what follows there comes in no earlier turn (TimeMerger)
};
using SourcePlaces = std::map<std::string, SourcePlace, std::less<>>;  // by the source's name

using Fields = std::vector<std::pair<std::string, std::string>>;

// What a commit or gap line says: `_source`, `_source_c`, `_source_s`, `_source_lsn`.
Fields origin_fields(const std::string& name, const SourcePlace& place);
// What a mark says: `_at_NAME` of each source that anything of is there.
Fields places_fields(const SourcePlaces& places);

// The same from a line, taken apart. Throws Corruption's parent Error where it is not understood.
std::optional<std::pair<std::string, SourcePlace>> origin_of(const Change& end);
// Overwrites what the mark knows. False: it says nothing of places.
bool take_places(const Change& mark, SourcePlaces& places);

// The raw name of the source that a line or its commit is of; empty: it has none.
std::string_view source_of(const Change& change);

// `body` with `_source` in front of its `_action`. `raw_name` is escaped.
void append_with_source(std::string& out, std::string_view body, std::string_view raw_name);

// How far each source is in the merged daystream, which has a line.
SourcePlaces places_in(const Stream& stream);

// Checks `--source`: the name of one of the sources of `stream`; "" for a stream of one
// database, and, unless `must_choose`, for all. Throws ConfigError that lists the names there are.
// Returns the raw name.
std::string chosen_source(const Stream& stream, const std::string& name, bool must_choose);

}  // namespace daystream::command
