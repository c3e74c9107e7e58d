// GET /NAME/stream: where it begins, what is left out, and the response that goes on.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "serve/answers.h"
#include "serve/streams.h"
#include "serve/table_filter.h"

namespace daystream::serve {

// Where a response begins, and in which state its filter is there.
struct Opening {
  Beginning begin;
  std::optional<std::uint32_t> chain;  // nullopt: not known
  bool in_group = false;
};

// Ownership: borrows all it is made of. Threads: the loop's one.
class StreamRoute {
 public:
  // `stall`: a peer that takes nothing for so long is let go.
  StreamRoute(event_base* loop, Answers& answers, Streams& streams, std::chrono::seconds stall);

  void reply(const Request& request, Served& served, const Grant& grant);

 private:
  void follow(const Request& request, Served& served, const Grant& grant, const TableFilter& filter,
              Opening opening);

  event_base* loop_;
  Answers& answers_;
  Streams& streams_;
  std::chrono::seconds stall_;
};

}  // namespace daystream::serve
