// What a stream holds, gathered from its files.
#pragma once

#include <filesystem>
#include <optional>

#include "daystream/stream.h"
#include "stream_view.h"

namespace daystream {

// Of a directory of this machine, without reading it through. Throws as Stream::info().
StreamInfo info_of(const std::filesystem::path& directory);
std::optional<Extent> extent_of(const StreamView& view);

}  // namespace daystream
