// What a mirror's owner says on a socket, line by line.
#pragma once

#include <unistd.h>

#include <string>

#include "daystream/unique_fd.h"

// Waits for it. Empty: the other side has closed the socket.
inline std::string next_line(const daystream::UniqueFd& fd) {
  std::string line;
  for (char c = 0; read(fd.get(), &c, 1) == 1 && c != '\n';) line += c;
  return line;
}
