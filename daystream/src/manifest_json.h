// A manifest as the JSON that daystream.json is.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "daystream/manifest.h"

namespace daystream {

// Its keys in the order that people read them in.
nlohmann::ordered_json to_json(const Manifest& manifest);

// `value` may have other keys beside. Throws WrongSource (newer format), nlohmann::json::exception
// and ConfigError where it is not a manifest. `directory` is for messages.
Manifest manifest_from_json(const nlohmann::json& value, const std::string& directory);

}  // namespace daystream
