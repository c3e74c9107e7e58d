// Whether who is at the other end of a connection has gone, without a look at what it has sent.
#pragma once

namespace daystream::serve {

// Threads: any, while `fd` is not closed. Whoever has closed his half only counts as gone, too.
bool has_ended(int fd) noexcept;

}  // namespace daystream::serve
