// A manifest as the JSON that daystream.json is.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "daystream/manifest.h"

namespace daystream {

// Its keys in the order that people read them in.
nlohmann::ordered_json to_json(const Manifest& manifest);

}  // namespace daystream
