#include "daystream/unique_fd.h"

#include <unistd.h>

namespace daystream {

void UniqueFd::reset() noexcept {
  // Linux has given the descriptor back even where close() says EINTR: never call it twice.
  if (fd_ >= 0) close(std::exchange(fd_, -1));
}

}  // namespace daystream
