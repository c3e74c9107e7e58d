// Answers that wait until there is something else to say.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <string>

#include "program/labels.h"
#include "serve/libevent.h"
#include "serve/request.h"

struct evhttp_connection;

namespace daystream::serve {

// What a mirror asks for its configuration with.
struct MirrorRequest {
  Request request;
  std::string name;
  program::Labels labels;
  std::optional<std::uint64_t> commands = {};  // the number of the newest one that it has heard of
};

// An answer that waits costs its connection and a few words, and no work before it is due.
//
// Threads: the loop's one. Not movable: libevent keeps its address.
class HeldAnswers {
 public:
  // `answer` is called once for each that is held, when it is due or its time is over, unless its
  // peer has gone. It throws nothing. `stall`: a peer that takes nothing for so long is let go.
  using Answer = std::function<void(const MirrorRequest&)>;
  HeldAnswers(event_base* loop, std::chrono::seconds stall, Answer answer);
  HeldAnswers(const HeldAnswers&) = delete;
  HeldAnswers& operator=(const HeldAnswers&) = delete;
  ~HeldAnswers();  // closes the connections

  std::size_t count() const noexcept { return held_.size(); }
  // `known`: the revision that it has already.
  void hold(MirrorRequest asked, std::uint64_t known, std::chrono::seconds wait);
  // Answers those for which `is_due` says so. `known`: as hold() was told.
  using IsDue = std::function<bool(const MirrorRequest& asked, std::uint64_t known)>;
  void answer_due(const IsDue& is_due);

 private:
  struct Held {
    HeldAnswers* all;
    MirrorRequest asked;
    std::uint64_t known;
    std::chrono::steady_clock::time_point until;
    std::list<Held>::iterator self = {};
  };
  static void closed(evhttp_connection*, void* held);
  void tick() noexcept;
  void answer(const Held& held) const noexcept;

  std::chrono::seconds stall_;
  Answer answer_;
  std::list<Held> held_;
  Event tick_;
};

}  // namespace daystream::serve
