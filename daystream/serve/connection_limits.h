// What a peer may take of the server before it has said anything worth listening to: connections,
// and time.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <string>

#include "serve/libevent.h"

struct bufferevent;
struct evhttp_request;

namespace daystream::serve {

struct Limits {
  std::size_t connections = 8192;  // in all
  std::size_t connections_per_address = 2048;
  std::chrono::seconds request_time{10};  // for the handshake and the whole request
};

// libevent's HTTP server tells of a connection when its request is complete: too late for one that
// sends a byte now and then. So each new connection is looked at here, from its first moment; one
// that is too many, or has not asked in time, is shut down, and libevent then lets go of it. Each
// connection carries one request, so that "has asked" is final.
//
// Threads: the loop's one.
class ConnectionLimits {
 public:
  ConnectionLimits(event_base* loop, Limits limits);

  // A bufferevent that libevent is about to give a descriptor. Counted once it has it.
  void expect(bufferevent* connection);
  // Its request is complete.
  void asked(evhttp_request* request);

  std::size_t refused() const noexcept { return refused_; }

 private:
  struct Connection {
    std::string address;
    std::string peer;  // address and port: a descriptor's number is used again
    std::chrono::steady_clock::time_point since;
    bool asked = false;
  };
  void admit(bufferevent* connection);
  void look_around();
  void forget(std::map<int, Connection>::iterator connection);
  void forget_closed();

  event_base* loop_;
  Limits limits_;
  std::map<int, Connection> connections_;  // by descriptor
  std::map<std::string, std::size_t> by_address_;
  std::size_t refused_ = 0;
  Event timer_;
};

}  // namespace daystream::serve
