#include "output.h"

#include <cerrno>

#include "daystream/error.h"
#include "program/terminal.h"
#include "write_all.h"

namespace daystream::command {

Output::Output(int fd, program::Keep keep)
    : fd_(fd), to_terminal_(program::is_terminal(fd)), keep_(keep) {
  buffer_.reserve(2 * kFlushAbove);
}

void Output::flush() {
  // Empty whatever happens: what could not be written is not tried again.
  std::string text;
  text.swap(buffer_);
  send(to_terminal_ ? program::harmless(text, keep_) : text);
  text.clear();
  text.swap(buffer_);  // its room is used again
}

void Output::send(std::string_view text) {
  if (!write_all(fd_, text)) throw IoError("could not write to standard output", errno);
}

}  // namespace daystream::command
