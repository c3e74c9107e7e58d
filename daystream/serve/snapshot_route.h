// GET /NAME/snapshots and /NAME/snapshot: which there are, and the bytes of one.
#pragma once

#include <chrono>

#include "serve/answers.h"
#include "serve/streams.h"

namespace daystream::serve {

// Ownership: borrows all it is made of. Threads: the loop's one.
class SnapshotRoute {
 public:
  // `stall`: a peer that takes nothing for so long is let go.
  SnapshotRoute(event_base* loop, Answers& answers, Streams& streams, std::chrono::seconds stall);

  static void list(const Request& request, const Served& served);
  void send(const Request& request, Served& served, const Grant& grant);

 private:
  event_base* loop_;
  Answers& answers_;
  Streams& streams_;
  std::chrono::seconds stall_;
};

}  // namespace daystream::serve
