// The kind of stream that lies in object storage, where `daystream archive` has put its closed
// days.
#pragma once

#include <string>

#include "daystream/stream.h"

namespace daystream::remote {

// Throws ConfigError where `address` is not s3://….
Stream archive_stream(const std::string& address);

}  // namespace daystream::remote
