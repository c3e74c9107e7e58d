// What a peer may take of the server before it has said anything worth listening to: connections,
// and time.
#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <map>
#include <string>

#include "program/repeats.h"
#include "serve/libevent.h"

struct bufferevent;
struct evhttp_request;

namespace daystream::serve {

struct Limits {
  std::size_t connections = 8192;  // in all; never more than the process has descriptors for
  std::size_t connections_per_address = 2048;
  std::chrono::seconds request_time{10};  // for the handshake and the whole request
};

// libevent's HTTP server announces a connection when its request is complete: too late for one that
// sends a byte now and then. So each new connection is looked at here, from its first moment; one
// that is too many, or has not asked in time, is shut down, and libevent then lets go of it. Each
// connection carries one request, so that "has asked" is final.
//
// Where there is no room, the connection that has been silent for longest makes it: an honest peer
// asks at once, so silence in any number keeps nobody out. Only where all have asked is the new one
// refused. What that costs does not depend on how many there are: who has gone is looked for at
// most every kBetweenSearches.
//
// Threads: the loop's one.
class ConnectionLimits {
 public:
  // The address of the peer that is connected to `fd`, for the log.
  static std::string address_of(int fd);

  static constexpr std::chrono::milliseconds kBetweenSearches{100};

  ConnectionLimits(event_base* loop, Limits limits);

  // A bufferevent that libevent is about to give a descriptor. Counted once it has it.
  void expect(bufferevent* connection);
  // Its request is complete.
  void asked(evhttp_request* request);
  // Its answer takes as long as the peer likes, as a follower's. False: too many do already, and
  // the rest is for those who ask and go, so that a server that is full of followers still answers.
  bool may_stay(evhttp_request* request);

  std::size_t refused() const noexcept { return refused_; }

 private:
  struct Connection {
    std::string address;
    std::string peer;  // address and port: a descriptor's number is used again
    std::chrono::steady_clock::time_point since;
    bool asked = false;
    bool stays = false;
    std::list<int>::iterator silent = {};  // in silent_ and in its address's list, unless `asked`
    std::list<int>::iterator silent_there = {};
  };
  struct Address {
    std::size_t count = 0;
    std::size_t staying = 0;
    std::list<int> silent;  // the longest first
  };
  using Place = std::map<int, Connection>::iterator;
  void admit(bufferevent* connection);
  bool make_room(const std::string& address);
  void look_around();
  void shut(Place connection);
  void no_longer_silent(Place connection);
  void forget(Place connection);
  void forget_closed();
  void search_closed();

  event_base* loop_;
  Limits limits_;
  std::map<int, Connection> connections_;  // by descriptor
  std::map<std::string, Address> by_address_;
  std::list<int> silent_;  // that have not asked, the longest first
  std::size_t staying_ = 0;
  std::size_t refused_ = 0;
  std::chrono::steady_clock::time_point searched_;  // for those that have gone
  program::AtMostEvery refusals_{std::chrono::minutes(1)};
  Event timer_;
};

}  // namespace daystream::serve
