#include "serve/held_answers.h"

#include <event2/bufferevent.h>
#include <event2/http.h>

#include <iterator>
#include <utility>

namespace daystream::serve {

using std::chrono::steady_clock;

namespace {

constexpr std::size_t kMostWhileHeld = 4096;  // bytes that a peer sends meanwhile

}  // namespace

HeldAnswers::HeldAnswers(event_base* loop, std::chrono::seconds stall, Answer answer)
    : stall_(stall), answer_(std::move(answer)), tick_(loop, -1, false, [this] { tick(); }) {}

HeldAnswers::~HeldAnswers() {
  for (const Held& held : held_) {
    evhttp_connection* connection = evhttp_request_get_connection(held.asked.request.raw());
    evhttp_connection_set_closecb(connection, nullptr, nullptr);
    evhttp_connection_free(connection);  // and the request with it
  }
}

void HeldAnswers::hold(MirrorRequest asked, std::uint64_t known, std::chrono::seconds wait) {
  held_.push_back({this, std::move(asked), known, steady_clock::now() + wait});
  held_.back().self = std::prev(held_.end());
  evhttp_connection* connection = evhttp_request_get_connection(held_.back().asked.request.raw());
  evhttp_connection_set_closecb(connection, closed, &held_.back());
  bufferevent* stream = evhttp_connection_get_bufferevent(connection);
  const timeval stall{stall_.count(), 0};
  bufferevent_set_timeouts(stream, nullptr, &stall);
  // What else it sends is left unread, as its request is being answered; its end is noticed.
  bufferevent_data_cb drained = nullptr;
  bufferevent_event_cb ended = nullptr;
  void* argument = nullptr;
  bufferevent_getcb(stream, nullptr, &drained, &ended, &argument);
  bufferevent_setcb(stream, nullptr, drained, ended, argument);
  bufferevent_setwatermark(stream, EV_READ, 0, kMostWhileHeld);
  bufferevent_enable(stream, EV_READ);
  if (!tick_.pending()) tick_.start(std::chrono::seconds(1));
}

void HeldAnswers::answer_due(const IsDue& is_due) {
  std::list<Held> due;
  for (auto at = held_.begin(); at != held_.end();) {
    const auto each = at++;
    if (is_due(each->asked, each->known)) due.splice(due.end(), held_, each);
  }
  for (; !due.empty(); due.pop_front()) answer(due.front());
}

// The time of those that wait is over now and then: they get what there is.
void HeldAnswers::tick() noexcept {
  const auto now = steady_clock::now();
  for (auto at = held_.begin(); at != held_.end();) {
    const auto each = at++;
    if (each->until > now) continue;
    const Held held = std::move(*each);
    held_.erase(each);
    answer(held);
  }
  if (!held_.empty()) tick_.start(std::chrono::seconds(1));
}

void HeldAnswers::answer(const Held& held) const noexcept {
  evhttp_connection_set_closecb(evhttp_request_get_connection(held.asked.request.raw()), nullptr,
                                nullptr);
  answer_(held.asked);
}

// The peer is gone. As of a follower: a request that lost its connection stays ours until its
// reply ends.
void HeldAnswers::closed(evhttp_connection*, void* argument) {
  auto* const held = static_cast<Held*>(argument);
  evhttp_request* const request = held->asked.request.raw();
  held->all->held_.erase(held->self);
  if (evhttp_request_get_connection(request) == nullptr) evhttp_send_reply_end(request);
}

}  // namespace daystream::serve
