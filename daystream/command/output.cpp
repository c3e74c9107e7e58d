#include "output.h"

#include <unistd.h>

#include <cerrno>

#include "daystream/error.h"

namespace daystream::command {

Output::Output(int fd) : fd_(fd) {
  buffer_.reserve(2 * kFlushAbove);
}

void Output::flush() {
  std::string_view left = buffer_;
  while (!left.empty()) {
    const ssize_t put = ::write(fd_, left.data(), left.size());
    if (put >= 0) {
      left.remove_prefix(static_cast<std::size_t>(put));
    } else if (errno != EINTR) {
      const int error = errno;
      buffer_.clear();
      throw IoError("could not write to standard output", error);
    }
  }
  buffer_.clear();
}

}  // namespace daystream::command
