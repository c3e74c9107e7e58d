// What can be asked of a stream, as JSON: what a server answers, a client reads, and `daystream
// info
// --json` prints (daystream/serve/PROTOCOL.md).
//
// Errors: reading throws nlohmann::json::exception and ConfigError where a value is not what it has
// to be.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "daystream/stream.h"

namespace daystream {

// The manifest's keys, then what the files say. Those of StreamInfo::Whole are left out where we
// may read some tables only.
nlohmann::ordered_json to_json(const StreamInfo& info);
// Throws WrongSource (newer format), too. `address` is for messages.
StreamInfo stream_info_from_json(const nlohmann::json& value, const std::string& address);

// All of these are null where there is none.

// {"position": "C/S", "time", "lsn": "X/Y"}
nlohmann::ordered_json to_json(const std::optional<StreamInfo::Point>& point);
// {"first": "C/S", "last": "C/S", "last_lsn": "X/Y"}
nlohmann::ordered_json to_json(const std::optional<Extent>& extent);
std::optional<Extent> extent_from_json(const nlohmann::json& value);
// {"position": "C/S", "lsn": "X/Y", "next": N}
nlohmann::ordered_json to_json(const std::optional<Seam>& seam);
std::optional<Seam> seam_from_json(const nlohmann::json& value);
// "C/S"
nlohmann::ordered_json to_json(const std::optional<Position>& position);
std::optional<Position> position_from_json(const nlohmann::json& value);

}  // namespace daystream
