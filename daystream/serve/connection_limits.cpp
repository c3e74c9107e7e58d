#include "serve/connection_limits.h"

#include <arpa/inet.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>

namespace daystream::serve {

namespace {

// One connection in so many is kept for those who do not stay.
constexpr std::size_t kForOthers = 8;
constexpr const char* kLocal = "local";  // a Unix socket's peers have no address

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
  return {kLocal, fmt::format("{}:{}", kLocal, status.st_ino)};
}

}  // namespace

std::string ConnectionLimits::address_of(int fd) {
  const Peer peer = peer_of(fd);
  return peer.address.empty() ? "a peer that is gone" : peer.address;
}

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
  if (!make_room(peer.address)) {
    ++refused_;
    if (refusals_.due()) {
      spdlog::warn("refused a connection of {}: too many; {} were refused or let go so far",
                   peer.address, refused_);
    }
    shutdown(fd, SHUT_RDWR);
    return;
  }
  Address& address = by_address_[peer.address];
  ++address.count;
  const auto silent = silent_.insert(silent_.end(), fd);
  const auto silent_there = address.silent.insert(address.silent.end(), fd);
  connections_[fd] = {.address = peer.address,
                      .peer = peer.name,
                      .since = std::chrono::steady_clock::now(),
                      .silent = silent,
                      .silent_there = silent_there};
}

// False: there are too many, and all of them have asked.
bool ConnectionLimits::make_room(const std::string& address) {
  const auto full_there = [&] {
    const auto found = by_address_.find(address);
    return address != kLocal && found != by_address_.end() &&
           found->second.count >= limits_.connections_per_address;
  };
  const auto full = [&] { return connections_.size() >= limits_.connections; };
  if (!full() && !full_there()) return true;
  search_closed();
  if (full_there()) {
    const std::list<int>& silent = by_address_[address].silent;
    if (!silent.empty()) shut(connections_.find(silent.front()));
  }
  if (full() && !silent_.empty()) shut(connections_.find(silent_.front()));
  return !full() && !full_there();
}

void ConnectionLimits::asked(evhttp_request* request) {
  bufferevent* connection =
      evhttp_connection_get_bufferevent(evhttp_request_get_connection(request));
  admit(connection);
  const auto found = connections_.find(bufferevent_getfd(connection));
  if (found != connections_.end()) no_longer_silent(found);
}

bool ConnectionLimits::may_stay(evhttp_request* request) {
  const auto found = connections_.find(
      bufferevent_getfd(evhttp_connection_get_bufferevent(evhttp_request_get_connection(request))));
  if (found == connections_.end()) return false;
  Connection& connection = found->second;
  const auto fits = [](std::size_t staying, std::size_t most) {
    return staying < most - std::min(most - 1, (most + kForOthers - 1) / kForOthers);
  };
  const auto may = [&] {
    return fits(staying_, limits_.connections) &&
           (connection.address == kLocal ||
            fits(by_address_[connection.address].staying, limits_.connections_per_address));
  };
  if (!may()) search_closed();
  if (!may()) return false;
  connection.stays = true;
  ++staying_;
  ++by_address_[connection.address].staying;
  return true;
}

void ConnectionLimits::look_around() {
  const auto latest = std::chrono::steady_clock::now() - limits_.request_time;
  while (!silent_.empty()) {
    const Place oldest = connections_.find(silent_.front());
    if (oldest->second.since > latest) return;
    shut(oldest);
  }
}

// libevent finds it closed, and lets go of it.
void ConnectionLimits::shut(Place connection) {
  if (peer_of(connection->first).name == connection->second.peer) {
    ++refused_;
    shutdown(connection->first, SHUT_RDWR);
  }
  forget(connection);
}

void ConnectionLimits::search_closed() {
  const auto now = std::chrono::steady_clock::now();
  if (now - searched_ < kBetweenSearches) return;
  searched_ = now;
  forget_closed();
}

void ConnectionLimits::forget_closed() {
  for (auto at = connections_.begin(); at != connections_.end();) {
    const auto entry = at++;
    if (peer_of(entry->first).name != entry->second.peer) forget(entry);
  }
}

void ConnectionLimits::no_longer_silent(Place connection) {
  if (connection->second.asked) return;
  silent_.erase(connection->second.silent);
  by_address_[connection->second.address].silent.erase(connection->second.silent_there);
  connection->second.asked = true;
}

void ConnectionLimits::forget(Place connection) {
  no_longer_silent(connection);
  const auto address = by_address_.find(connection->second.address);
  if (connection->second.stays) {
    --staying_;
    --address->second.staying;
  }
  if (--address->second.count == 0) by_address_.erase(address);
  connections_.erase(connection);
}

}  // namespace daystream::serve
