// Writing to a descriptor until all is written: one call may take a part of it, or be interrupted
// by a signal. Not for a descriptor that does not wait (O_NONBLOCK).
#pragma once

#include <cstdint>
#include <string_view>

namespace daystream {

// False: it could not be written, or not all of it; errno says why.
bool write_all(int fd, std::string_view bytes) noexcept;
bool write_all_at(int fd, std::string_view bytes, std::uint64_t offset) noexcept;

}  // namespace daystream
