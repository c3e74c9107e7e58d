// POST /NAME/copies: what a copy says of itself, and what it is told of the stream.
#pragma once

#include "serve/answers.h"
#include "serve/served.h"
#include "serve/workers.h"

namespace daystream::serve {

// Ownership: borrows all it is made of. Threads: the loop's one.
class CopyRoute {
 public:
  // `record`: what relays have on disk is written into the stream's directory.
  CopyRoute(Answers& answers, Workers& workers, bool record);

  // What a copy says of itself is shown; only what a relay proves to have is counted.
  void take(const Request& request, Served& served, const Grant& grant);

 private:
  void tell_health(const Request& request, const Served& served, const Grant& grant);
  void record(Served& served);

  Answers& answers_;
  Workers& workers_;
  bool records_;
};

}  // namespace daystream::serve
