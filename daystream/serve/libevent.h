// Owners for what libevent hands out.
#pragma once

#include <event2/event.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

struct evbuffer;
struct evhttp;
extern "C" void evbuffer_free(evbuffer*);
extern "C" void evhttp_free(evhttp*);

namespace daystream::serve {

struct LoopDeleter {
  void operator()(event_base* loop) const noexcept { event_base_free(loop); }
};
using Loop = std::unique_ptr<event_base, LoopDeleter>;

struct BufferDeleter {
  void operator()(evbuffer* buffer) const noexcept { evbuffer_free(buffer); }
};
using Buffer = std::unique_ptr<evbuffer, BufferDeleter>;

struct HttpDeleter {
  void operator()(evhttp* http) const noexcept { evhttp_free(http); }
};
using Http = std::unique_ptr<evhttp, HttpDeleter>;

// A timer, or the readability of a descriptor, that calls a function. An exception must not cross
// libevent's frames: `callback` throws nothing.
// Not movable: libevent keeps its address.
class Event {
 public:
  // `fd` -1: a timer. With `persist` it fires again and again.
  Event(event_base* loop, int fd, bool persist, std::function<void()> callback)
      : callback_(std::move(callback)),
        event_(event_new(loop, fd,
                         static_cast<short>((fd >= 0 ? EV_READ : 0) | (persist ? EV_PERSIST : 0)),
                         call, this)) {}
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() {
    if (event_ != nullptr) event_free(event_);
  }

  void start() { event_add(event_, nullptr); }
  void start(std::chrono::microseconds after) {
    const timeval time{static_cast<time_t>(after.count() / 1000000),
                       static_cast<suseconds_t>(after.count() % 1000000)};
    event_add(event_, &time);
  }
  bool pending() const noexcept {
    return event_pending(event_, EV_TIMEOUT | EV_READ, nullptr) != 0;
  }

 private:
  static void call(evutil_socket_t, short, void* self) { static_cast<Event*>(self)->callback_(); }

  std::function<void()> callback_;
  event* event_;
};

}  // namespace daystream::serve
