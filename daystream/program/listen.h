// --listen: where the server can be reached.
#pragma once

#include <string>

#include "daystream/unique_fd.h"

namespace daystream::program {

struct ListenAddress {
  std::string path;  // of a Unix socket; else empty
  std::string host;  // numeric, or a name that the system resolves
  std::string port;

  bool is_unix() const noexcept { return !path.empty(); }
  // Nobody but this machine's own processes can reach it.
  bool is_local() const;
  std::string text() const;  // 127.0.0.1:8447, [::1]:8447 or unix:PATH

  // HOST:PORT, [IPV6]:PORT, :PORT (loopback) or unix:PATH. Throws ConfigError.
  static ListenAddress parse(const std::string& text);
};

// A listening socket, not blocking. A port 0 becomes the one that was found. A Unix socket's file
// may be used by owner and group; one that nobody listens on any more is replaced. Throws IoError,
// ConfigError.
UniqueFd listen_on(ListenAddress& address);

}  // namespace daystream::program
