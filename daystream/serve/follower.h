// One long response: history and then what comes, as fast as the peer takes it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "serve/byte_source.h"
#include "serve/libevent.h"

struct evhttp_connection;
struct evhttp_request;

namespace daystream::serve {

struct FollowerOptions {
  int status = 200;
  std::chrono::seconds beat{0};        // a beat at least that often; 0: none (PROTOCOL.md)
  bool follow = true;                  // else the response ends at the end of what is durable
  Encoding encoding = Encoding::None;  // of the beats; the source knows its own
  std::chrono::seconds stall{60};      // a peer that takes nothing for so long is let go
};

// What the status page shows of a follower.
struct FollowerFacts {
  std::string host;        // what it calls itself, or its address
  std::string peer;        // its address
  std::string client;      // its User-Agent
  std::int64_t since = 0;  // seconds since 1970
  std::string tables;      // a table list: the only ones it gets; empty: all
  std::string grant;       // the name it was let in by; empty: there is no authentication
};

// A slow peer has at most kQueueBytes and a block waiting for it; nothing is read for it meanwhile.
// A follower whose filter leaves nearly everything out has a turn of kReadsAtOnce blocks, then
// others have theirs.
//
// Ownership:  owns the request from begin() on, until on_end was called.
// Threads:    the loop's one. Not movable: libevent keeps its address.
class Follower {
 public:
  static constexpr std::size_t kQueueBytes = 128 * 1024;
  static constexpr int kReadsAtOnce = 16;
  static constexpr std::chrono::seconds kDeadAfter{20};

  // `on_end` is called once, when the response has ended or the peer is gone: the owner destroys
  // this then, but not from within the call.
  Follower(event_base* loop, evhttp_request* request, std::unique_ptr<ByteSource> source,
           FollowerOptions options, FollowerFacts facts, std::function<void()> on_end);
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;
  ~Follower();

  // Sends the headers that were set on the request, and the first bytes.
  void begin();
  // More may be durable.
  void pump() noexcept;
  // Ends the response in the middle: the peer sees a broken one and asks again.
  void drop() noexcept;

  // The peer's host has acknowledged nothing for kDeadAfter, not even the kernel's probes.
  bool is_dead() const noexcept;
  bool ended() const noexcept { return request_ == nullptr; }
  const FollowerFacts& facts() const noexcept { return facts_; }
  Position position() const { return source_->position(); }
  std::uint64_t backlog_bytes() { return source_->backlog_bytes(); }
  std::uint64_t sent_bytes() const noexcept { return sent_bytes_; }
  // live: has all; sending: behind, and taking; stuck: has taken nothing for a second.
  const char* state() const noexcept;

 private:
  static void drained(evhttp_connection*, void* self);
  static void closed(evhttp_connection*, void* self);
  void send();
  void beat() noexcept;
  void end() noexcept;

  evhttp_request* request_;
  std::unique_ptr<ByteSource> source_;
  FollowerOptions options_;
  FollowerFacts facts_;
  std::function<void()> on_end_;
  Event beat_;
  Event again_;  // its next turn
  Buffer chunk_;
  bool writing_ = false;  // bytes are queued: drained() will come
  bool at_tail_ = false;  // the last bytes that were queued were all there were
  bool told_tail_ = false;
  std::uint64_t sent_bytes_ = 0;
  std::chrono::steady_clock::time_point queued_at_;  // bytes, last
};

}  // namespace daystream::serve
