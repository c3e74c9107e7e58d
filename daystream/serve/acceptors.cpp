#include "serve/acceptors.h"

#include <event2/http.h>
#include <event2/listener.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <cstring>

namespace daystream::serve {

namespace {

// libevent hands an error of accept() what it hands the HTTP server, and that is no connection.
Acceptors* only_one = nullptr;

}  // namespace

Acceptors::Acceptors(event_base* loop)
    : again_(loop, -1, false, [this] {
        for (evconnlistener* listener : listeners_) evconnlistener_enable(listener);
      }) {
  only_one = this;
}

Acceptors::~Acceptors() {
  only_one = nullptr;
}

bool Acceptors::add(evhttp* http, int fd) {
  evhttp_bound_socket* bound = evhttp_accept_socket_with_handle(http, fd);
  if (bound == nullptr) return false;
  evconnlistener* listener = evhttp_bound_socket_get_listener(bound);
  evconnlistener_set_error_cb(listener, failed);
  listeners_.push_back(listener);
  return true;
}

void Acceptors::failed(evconnlistener*, void*) {
  if (only_one != nullptr) only_one->pause();
}

void Acceptors::pause() {
  const int error = errno;
  for (evconnlistener* listener : listeners_) evconnlistener_disable(listener);
  again_.start(kPause);
  if (!complaints_.due()) return;
  spdlog::error("could not accept a connection: {}; trying again every {} ms", std::strerror(error),
                kPause.count());
}

}  // namespace daystream::serve
