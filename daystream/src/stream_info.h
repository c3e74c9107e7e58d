// What a stream holds, gathered from its files.
#pragma once

#include <optional>
#include <string>

#include "daystream/stream.h"
#include "dir.h"
#include "stream_view.h"

namespace daystream {

// Without reading it through. `stream` is what has `files`; `writer`: nullopt: none here. Throws as
// Stream::info().
StreamInfo info_of(Dir& files, const Stream& stream, const std::optional<std::string>& writer);
std::optional<Extent> extent_of(const StreamView& view);

}  // namespace daystream
