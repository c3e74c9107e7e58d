// A directory whose older days are in an archive, as one stream: `DIR+s3://BUCKET/PREFIX`.
#pragma once

#include <string>

#include "daystream/stream.h"

namespace daystream::remote {

// A Reader that begins before the directory does begins in the archive, and goes on in the
// directory where that has the day, without a break in the chain. One that begins in the directory
// asks nothing of the archive, unless a day is deleted before it has read it.
//
// Throws ConfigError where `live` is not a directory of this machine, or `archive` not s3://….
Stream joined_stream(const Stream& live, const std::string& archive);

}  // namespace daystream::remote
