#include "serve/follower.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <ctime>

#include "serve/request.h"

namespace daystream::serve {

namespace {

// A peer's request is read; what else it sends is not wanted, and not gathered beyond this.
constexpr std::size_t kMostInput = 4096;

// A peer that is there answers the kernel's probes, so that silence means something (is_dead()).
void ask_for_life(int fd) {
  const auto set = [fd](int level, int option, int value) {
    // On a Unix socket none of these is known, and none is needed.
    [[maybe_unused]] const int result = setsockopt(fd, level, option, &value, sizeof value);
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 5);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 5);
  set(IPPROTO_TCP, TCP_KEEPCNT, 4);
  set(IPPROTO_TCP, TCP_NODELAY, 1);
}

}  // namespace

Follower::Follower(event_base* loop, evhttp_request* request, std::unique_ptr<ByteSource> source,
                   FollowerOptions options, FollowerFacts facts, std::function<void()> on_end)
    : request_(request),
      source_(std::move(source)),
      options_(options),
      facts_(std::move(facts)),
      on_end_(std::move(on_end)),
      beat_(loop, -1, false, [this] { beat(); }),
      again_(loop, -1, false, [this] { pump(); }),
      chunk_(evbuffer_new()) {}

Follower::~Follower() {
  drop();
}

void Follower::begin() {
  evhttp_connection* connection = evhttp_request_get_connection(request_);
  evhttp_connection_set_closecb(connection, closed, this);
  bufferevent* stream = evhttp_connection_get_bufferevent(connection);
  ask_for_life(bufferevent_getfd(stream));
  evhttp_send_reply_start(request_, options_.status, reason_of(options_.status));
  queued_at_ = std::chrono::steady_clock::now();
  // A follower says nothing, for as long as it likes. One that takes nothing is stuck.
  const timeval stall{options_.stall.count(), 0};
  bufferevent_set_timeouts(stream, nullptr, &stall);
  bufferevent_setwatermark(stream, EV_READ, 0, kMostInput);
  bufferevent_enable(stream, EV_READ);  // so that its end is noticed (Request::pause_reading())
  pump();
}

void Follower::pump() noexcept {
  if (request_ == nullptr || writing_) return;
  try {
    send();
  } catch (const std::exception& e) {
    // The status was sent long ago: all that can be said is that this response ends too soon.
    spdlog::warn("follower {}: {}", facts_.host, e.what());
    drop();
  }
}

void Follower::send() {
  std::size_t size = 0;
  at_tail_ = false;
  int reads = 0;
  for (; size < kQueueBytes && !at_tail_ && reads < kReadsAtOnce; ++reads) {
    at_tail_ = !source_->read(chunk_.get());
    size = evbuffer_get_length(chunk_.get());
  }
  sent_bytes_ += size;
  if (size > 0) told_tail_ = false;
  if (at_tail_ && !told_tail_ && options_.beat.count() > 0) {
    append_text(chunk_.get(), kTailBeat, options_.encoding);
    told_tail_ = true;
  }
  const auto now = std::chrono::steady_clock::now();
  if (size == 0 && !at_tail_ && options_.beat.count() > 0 && now - queued_at_ >= options_.beat) {
    source_->tell_progress(chunk_.get());
    told_tail_ = false;
  }
  if (evbuffer_get_length(chunk_.get()) > 0) {
    writing_ = true;
    queued_at_ = now;
    evhttp_send_reply_chunk_with_cb(request_, chunk_.get(), drained, this);
  } else if (at_tail_ && !options_.follow) {
    evhttp_connection* connection = evhttp_request_get_connection(request_);
    evhttp_connection_set_closecb(connection, nullptr, nullptr);
    evhttp_send_reply_end(request_);
    end();
    return;
  } else if (!at_tail_) {
    again_.start(std::chrono::microseconds(0));
  }
  if (options_.beat.count() > 0) beat_.start(options_.beat);
}

void Follower::beat() noexcept {
  told_tail_ = false;
  pump();
}

void Follower::drained(evhttp_connection*, void* self) {
  auto* follower = static_cast<Follower*>(self);
  follower->writing_ = false;
  follower->pump();
}

// The peer is gone, or was let go for taking nothing.
void Follower::closed(evhttp_connection*, void* self) {
  auto* follower = static_cast<Follower*>(self);
  evhttp_request* request = follower->request_;
  if (request == nullptr) return;
  // A request that lost its connection stays ours until its reply ends; else libevent frees it with
  // the connection.
  if (evhttp_request_get_connection(request) == nullptr) evhttp_send_reply_end(request);
  follower->end();
}

void Follower::drop() noexcept {
  if (request_ == nullptr) return;
  evhttp_connection* connection = evhttp_request_get_connection(request_);
  evhttp_connection_set_closecb(connection, nullptr, nullptr);
  end();
  evhttp_connection_free(connection);  // and the request with it
}

void Follower::end() noexcept {
  request_ = nullptr;
  if (on_end_) on_end_();
}

// A reader that is only slow acknowledges what it was sent, and probes while it takes nothing: a
// time limit of TCP's own (TCP_USER_TIMEOUT) would end it too.
bool Follower::is_dead() const noexcept {
  if (request_ == nullptr) return false;
  bufferevent* stream = evhttp_connection_get_bufferevent(evhttp_request_get_connection(request_));
  tcp_info info{};
  socklen_t size = sizeof info;
  return getsockopt(bufferevent_getfd(stream), IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
         info.tcpi_last_ack_recv > std::chrono::milliseconds(kDeadAfter).count();
}

const char* Follower::state() const noexcept {
  if (!writing_) return "live";
  const auto waited = std::chrono::steady_clock::now() - queued_at_;
  if (waited > std::chrono::seconds(1)) return "stuck";
  return at_tail_ ? "live" : "sending";
}

}  // namespace daystream::serve
