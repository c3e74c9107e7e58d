// Unix sockets beside a mirror: named by paths of any length, open to the owner of the process
// only.
#pragma once

#include <string>

#include "daystream/unique_fd.h"

namespace deltamirror {

// Listens at `path`, replacing a socket that a dead process left there; anything else there is an
// error. Mode 0600 before the first connection can come. Non-blocking. Throws IoError.
daystream::UniqueFd listen_at(const std::string& path);

// Throws IoError with errno ENOENT or ECONNREFUSED where nobody listens.
daystream::UniqueFd connect_to(const std::string& path);

// Lines from a descriptor, up to a length.
class LineBuffer {
 public:
  enum class Read { Again, Closed, TooLong };
  // Takes what is there now. After Closed and TooLong the connection is of no more use.
  Read fill(int fd);
  bool next(std::string& line);  // without its newline

 private:
  std::string bytes_;
};

}  // namespace deltamirror
