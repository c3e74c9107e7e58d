// `Content-Encoding: zstd`: each piece that is sent as a frame of its own, so that it can be read
// at once, and be made once for many followers. A sequence of frames decompresses as one text.
#pragma once

#include <string>
#include <string_view>

namespace daystream::serve {

// Throws Error where there is no memory.
std::string zstd_frame(std::string_view text);

// Whether an Accept-Encoding header says that the peer can read it.
bool accepts_zstd(std::string_view header);

}  // namespace daystream::serve
