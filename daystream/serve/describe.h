// What a stream holds, as JSON: the answer of /NAME/info, with the keys of `daystream info --json`.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "serve/served_stream.h"

namespace daystream::serve {

nlohmann::ordered_json describe(const ServedStream& stream);
// {"c", "s", "time", "lsn"}
nlohmann::ordered_json place_json(const Position& position, Lsn lsn);

}  // namespace daystream::serve
