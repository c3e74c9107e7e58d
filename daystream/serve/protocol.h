// What the two sides of PROTOCOL.md have in common.
#pragma once

namespace daystream::serve {

inline constexpr int kProtocolVersion = 1;

}  // namespace daystream::serve
