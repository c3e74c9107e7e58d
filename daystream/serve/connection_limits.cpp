#include "serve/connection_limits.h"

#include <arpa/inet.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace daystream::serve {

namespace {

struct Peer {
  std::string address;
  std::string name;  // with port; empty: the descriptor is no connection (any more)
};

Peer peer_of(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (fd < 0 || getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
  char text[INET6_ADDRSTRLEN] = "";
  if (storage.ss_family == AF_INET) {
    const auto* in = reinterpret_cast<const sockaddr_in*>(&storage);
    inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
    return {text, fmt::format("{}:{}", text, ntohs(in->sin_port))};
  }
  if (storage.ss_family == AF_INET6) {
    const auto* in = reinterpret_cast<const sockaddr_in6*>(&storage);
    inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof text);
    return {text, fmt::format("[{}]:{}", text, ntohs(in->sin6_port))};
  }
  struct stat status {};
  if (fstat(fd, &status) != 0) return {};
  return {"local", fmt::format("local:{}", status.st_ino)};
}

}  // namespace

ConnectionLimits::ConnectionLimits(event_base* loop, Limits limits)
    : loop_(loop), limits_(limits), timer_(loop, -1, true, [this] { look_around(); }) {
  timer_.start(std::chrono::seconds(1));
}

void ConnectionLimits::expect(bufferevent* connection) {
  struct Call {
    ConnectionLimits* limits;
    bufferevent* connection;
  };
  // libevent sets the descriptor right after this, before it comes back to the loop.
  const timeval now{0, 0};
  bufferevent_incref(connection);
  event_base_once(
      loop_, -1, EV_TIMEOUT,
      [](evutil_socket_t, short, void* argument) {
        const std::unique_ptr<Call> call(static_cast<Call*>(argument));
        call->limits->admit(call->connection);
        bufferevent_decref(call->connection);
      },
      new Call{this, connection}, &now);
}

void ConnectionLimits::admit(bufferevent* connection) {
  const int fd = bufferevent_getfd(connection);
  Peer peer = peer_of(fd);
  if (peer.name.empty()) return;
  if (const auto before = connections_.find(fd); before != connections_.end()) {
    if (before->second.peer == peer.name) return;  // asked() was first
    forget(before);
  }
  const auto too_many = [&] {
    return connections_.size() >= limits_.connections ||
           (peer.address != "local" &&
            by_address_[peer.address] >= limits_.connections_per_address);
  };
  if (too_many()) forget_closed();
  if (too_many()) {
    if (refused_++ % 1000 == 0) {
      spdlog::warn("refused a connection of {}: too many", peer.address);
    }
    shutdown(fd, SHUT_RDWR);
    return;
  }
  ++by_address_[peer.address];
  connections_[fd] = {peer.address, peer.name, std::chrono::steady_clock::now(), false};
}

void ConnectionLimits::asked(evhttp_request* request) {
  bufferevent* connection =
      evhttp_connection_get_bufferevent(evhttp_request_get_connection(request));
  admit(connection);
  const auto found = connections_.find(bufferevent_getfd(connection));
  if (found != connections_.end()) found->second.asked = true;
}

void ConnectionLimits::look_around() {
  const auto latest = std::chrono::steady_clock::now() - limits_.request_time;
  for (auto at = connections_.begin(); at != connections_.end();) {
    const auto entry = at++;
    if (entry->second.asked || entry->second.since > latest) continue;
    if (peer_of(entry->first).name == entry->second.peer) {
      ++refused_;
      shutdown(entry->first, SHUT_RDWR);
    }
    forget(entry);
  }
}

void ConnectionLimits::forget_closed() {
  for (auto at = connections_.begin(); at != connections_.end();) {
    const auto entry = at++;
    if (peer_of(entry->first).name != entry->second.peer) forget(entry);
  }
}

void ConnectionLimits::forget(std::map<int, Connection>::iterator connection) {
  const auto count = by_address_.find(connection->second.address);
  if (count != by_address_.end() && --count->second == 0) by_address_.erase(count);
  connections_.erase(connection);
}

}  // namespace daystream::serve
