// How many descriptors the process may have, and what of that connections may take.
#pragma once

#include <cstddef>

namespace daystream::serve {

// Raises the soft limit (RLIMIT_NOFILE) to the hard one; what it is then.
std::size_t raise_descriptor_limit();

// Of so many descriptors, how many connections there may be at once: each may need a second one for
// the file it is sent, and the rest of the server, with what the kernel has accepted and we have
// not yet refused, needs some that nobody can take from it.
std::size_t connections_within(std::size_t descriptors);

}  // namespace daystream::serve
