#include "serve/peer_end.h"

#include <poll.h>

namespace daystream::serve {

// This does not sleep.
bool has_ended(int fd) noexcept {
  pollfd peer{fd, POLLRDHUP, 0};
  return poll(&peer, 1, 0) == 1;  // POLLERR, POLLHUP and POLLNVAL come unasked
}

}  // namespace daystream::serve
