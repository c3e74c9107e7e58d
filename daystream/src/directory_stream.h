// The kind of stream that is a directory of this machine.
#pragma once

#include <filesystem>
#include <memory>

#include "daystream/stream.h"

namespace daystream {

std::shared_ptr<const Stream::Impl> directory_stream(const std::filesystem::path& directory);

}  // namespace daystream
