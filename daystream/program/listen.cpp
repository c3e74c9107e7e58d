#include "program/listen.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "daystream/error.h"
#include "src/number.h"

namespace daystream::program {

namespace {

// The kernel accepts so many before we see the first: fewer than descriptors.cpp keeps in reserve.
constexpr int kBacklog = 200;
constexpr std::string_view kUnixPrefix = "unix:";

struct AddressesDeleter {
  void operator()(addrinfo* list) const noexcept { freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, AddressesDeleter>;

Addresses resolve(const ListenAddress& address) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* list = nullptr;
  const int error = getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &list);
  if (error != 0) {
    throw ConfigError(
        fmt::format("cannot listen on \"{}\": {}", address.text(), gai_strerror(error)),
        "write HOST:PORT with an address of this host, or unix:PATH");
  }
  return Addresses(list);
}

bool is_loopback(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    const auto* in = reinterpret_cast<const sockaddr_in*>(address);
    return (ntohl(in->sin_addr.s_addr) >> 24) == 127;
  }
  if (address->sa_family != AF_INET6) return false;
  return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr) != 0;
}

[[noreturn]] void fail(const ListenAddress& address) {
  throw IoError(fmt::format("could not listen on \"{}\"", address.text()), errno);
}

UniqueFd listen_on_unix(const ListenAddress& address) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (address.path.size() >= sizeof name.sun_path) {
    throw ConfigError(fmt::format("the path of Unix socket \"{}\" is too long", address.path),
                      "choose one of at most 107 bytes");
  }
  std::memcpy(name.sun_path, address.path.c_str(), address.path.size() + 1);
  const auto* generic = reinterpret_cast<const sockaddr*>(&name);

  // Somebody who still listens is not pushed aside.
  const UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  struct stat status {};
  if (lstat(address.path.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode)) {
      throw ConfigError(fmt::format("\"{}\" is there and is no socket", address.path),
                        "choose another path, or remove that file");
    }
    if (connect(probe.get(), generic, sizeof name) == 0) {
      errno = EADDRINUSE;
      fail(address);
    }
    if (errno == ECONNREFUSED) unlink(address.path.c_str());
  }
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) fail(address);
  const mode_t before = umask(0117);
  const int bound = bind(fd.get(), generic, sizeof name);
  const int error = errno;
  umask(before);
  errno = error;
  if (bound != 0 || listen(fd.get(), kBacklog) != 0) fail(address);
  return fd;
}

}  // namespace

ListenAddress ListenAddress::parse(const std::string& text) {
  ListenAddress address;
  if (text.starts_with(kUnixPrefix)) {
    address.path = text.substr(kUnixPrefix.size());
    if (address.path.empty())
      throw ConfigError(fmt::format("no path in \"{}\"", text), "write unix:PATH");
    return address;
  }
  const auto colon = text.rfind(':');
  if (colon == std::string::npos || colon + 1 == text.size()) {
    throw ConfigError(fmt::format("cannot listen on \"{}\"", text),
                      "give HOST:PORT, [IPV6]:PORT or unix:PATH");
  }
  address.host = text.substr(0, colon);
  address.port = text.substr(colon + 1);
  // The system would take 73983 for 8447.
  if (!parse_number<std::uint16_t>(address.port)) {
    throw ConfigError(fmt::format("cannot listen on \"{}\": \"{}\" is no port", text, address.port),
                      "a port is a number up to 65535");
  }
  if (address.host.starts_with('[') && address.host.ends_with(']')) {
    address.host = address.host.substr(1, address.host.size() - 2);
  }
  if (address.host.empty()) address.host = "127.0.0.1";
  return address;
}

bool ListenAddress::is_local() const {
  if (is_unix()) return true;
  const Addresses list = resolve(*this);
  for (const addrinfo* at = list.get(); at != nullptr; at = at->ai_next) {
    if (!is_loopback(at->ai_addr)) return false;
  }
  return true;
}

std::string ListenAddress::text() const {
  if (is_unix()) return std::string(kUnixPrefix) + path;
  const bool v6 = host.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

UniqueFd listen_on(ListenAddress& address) {
  if (address.is_unix()) return listen_on_unix(address);
  const Addresses list = resolve(address);
  const addrinfo& found = *list;
  UniqueFd fd(socket(found.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) fail(address);
  const int yes = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(fd.get(), found.ai_addr, found.ai_addrlen) != 0 || listen(fd.get(), kBacklog) != 0) {
    fail(address);
  }
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  char port[16] = "";
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &size) == 0 &&
      getnameinfo(reinterpret_cast<sockaddr*>(&bound), size, nullptr, 0, port, sizeof port,
                  NI_NUMERICSERV) == 0) {
    address.port = port;
  }
  return fd;
}

}  // namespace daystream::program
