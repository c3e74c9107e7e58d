#include "program/notify.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace daystream::program {

Notify::Notify() {
  std::uint64_t usec = 0;
  // Half of what systemd grants, as sd_watchdog_enabled(3) advises.
  if (sd_watchdog_enabled(0, &usec) > 0) interval_ = std::chrono::microseconds(usec / 2);
  connect();
}

// To a socket in the file system or an abstract one, as sd_notify(3) has them; a virtual machine's
// is left to the library.
void Notify::connect() {
  const char* const value = std::getenv("NOTIFY_SOCKET");
  const std::string_view path = value != nullptr ? value : "";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() < 2 || path.size() >= sizeof address.sun_path) return;
  if (path.front() != '/' && path.front() != '@') return;
  path.copy(address.sun_path, path.size());
  if (path.front() == '@') address.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) return;
  socket_ = std::move(fd);
}

bool Notify::sent(const std::string& text) const {
  return socket_ && send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL) >= 0;
}

void Notify::tell(const std::string& text) {
  if (sent(text)) return;
  connect();  // the service manager may have made another socket since
  if (!sent(text)) sd_notify(0, text.c_str());
}

void Notify::ready() {
  tell("READY=1");
}

void Notify::status(const std::string& text) {
  tell(fmt::format("STATUS={}", text));
}

void Notify::stopping() {
  tell("STOPPING=1");
}

void Notify::alive() {
  if (interval_.count() == 0) return;
  const auto now = std::chrono::steady_clock::now();
  if (now < last_ + interval_) return;
  last_ = now;
  tell("WATCHDOG=1");
}

Stop Notify::watched(const Stop& stop) {
  const auto requested = [this, stop] {
    alive();
    return stop.requested();
  };
  return {requested, stop.fd()};
}

}  // namespace daystream::program
