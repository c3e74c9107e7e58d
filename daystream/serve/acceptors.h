// Listening sockets that survive having no descriptors left.
#pragma once

#include <chrono>
#include <functional>
#include <vector>

#include "program/repeats.h"
#include "serve/libevent.h"

struct evconnlistener;
struct evhttp;

namespace daystream::serve {

// Where accept() fails, for want of descriptors or memory, the socket stays readable: libevent
// would try again at once, forever, and say so each time. All sockets are left alone for kPause
// instead, so that those who are being let go can give back theirs, and it is said once a minute.
//
// Ownership:  the sockets are the HTTP servers'. One Acceptors at a time in a process.
// Threads:    the loop's one.
class Acceptors {
 public:
  static constexpr std::chrono::milliseconds kPause{100};

  explicit Acceptors(event_base* loop);
  Acceptors(const Acceptors&) = delete;
  Acceptors& operator=(const Acceptors&) = delete;
  ~Acceptors();

  // Gives `http` the socket. False: it cannot be listened on.
  bool add(evhttp* http, int fd);

 private:
  static void failed(evconnlistener*, void*);
  void pause();

  std::vector<evconnlistener*> listeners_;
  Event again_;
  program::AtMostEvery complaints_{std::chrono::minutes(1)};
};

}  // namespace daystream::serve
