// What a program says to systemd (sd_notify).
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/fd.h"

namespace support {

// systemd's end of sd_notify.
class NotifySocket {
 public:
  explicit NotifySocket(const std::filesystem::path& path)
      : path_(path), fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.string().copy(address.sun_path, sizeof address.sun_path - 1);
    if (::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      throw std::runtime_error("no socket at " + path.string());
    }
  }
  const std::filesystem::path& path() const { return path_; }

  // All messages so far.
  const std::vector<std::string>& messages() {
    char buffer[4096];
    for (;;) {
      const ssize_t size = ::recv(fd_.get(), buffer, sizeof buffer, 0);
      if (size <= 0) return all_;
      all_.emplace_back(buffer, static_cast<std::size_t>(size));
    }
  }
  std::ptrdiff_t count(const std::string& message) {
    const auto& all = messages();
    return std::count(all.begin(), all.end(), message);
  }

 private:
  std::filesystem::path path_;
  Fd fd_;
  std::vector<std::string> all_;
};

}  // namespace support
