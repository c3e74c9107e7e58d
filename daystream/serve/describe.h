// What a stream holds, as JSON: the answer of /NAME/info, with the keys of `daystream info --json`.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "serve/served_stream.h"

namespace daystream::serve {

// `granted`: a table list; whoever may read no other tables is told of no others. Empty: all.
nlohmann::ordered_json describe(const ServedStream& stream, const std::string& granted);
Manifest manifest_for(const ServedStream& stream, const std::string& granted);
// {"c", "s", "time", "lsn"}
nlohmann::ordered_json place_json(const Position& position, Lsn lsn);

}  // namespace daystream::serve
