// Standard output, or another place to write to, in large pieces. What goes to a terminal is what
// it can show, but for colours: bytes of the data that would steer it are shown, not obeyed.
// Anything else is given every byte as it is.
#pragma once

#include <string>
#include <string_view>

#include "program/harmless.h"

namespace daystream::command {

// Errors: IoError. EPIPE, when the reader has enough, is one that ends a program quietly.
class Output {
 public:
  // `keep`: what is left as it is where that is a terminal. Colours are only for who sets them:
  // those of data could hide text.
  explicit Output(int fd, program::Keep keep = program::Keep::Lines);
  virtual ~Output() = default;  // what was not flushed is lost: an error must be able to throw
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  std::string& buffer() noexcept { return buffer_; }  // to append to, then written()
  void write(std::string_view text) {
    buffer_.append(text);
    written();
  }
  void written() {
    if (buffer_.size() >= kFlushAbove) flush();
  }
  void flush();

 protected:
  // Writes all of it. A child with other ways to write replaces it.
  virtual void send(std::string_view text);
  int fd() const noexcept { return fd_; }

 private:
  static constexpr std::size_t kFlushAbove = 128 * 1024;
  int fd_;
  bool to_terminal_;
  program::Keep keep_;
  std::string buffer_;
};

}  // namespace daystream::command
