// The lines of a server's responses, one response after the other, spooled as the days that they
// belong to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daystream/position.h"
#include "remote/beats.h"
#include "remote/line_runs.h"
#include "remote/running_chain.h"
#include "remote/spool.h"

namespace daystream::remote {

// A response goes on right behind last(), whatever of a line came before it.
//
// Threads: one.
class ResponseLines {
 public:
  // The first response goes on inside a day, behind `last` and with that chain. Without this call
  // it begins with the first line of a day.
  void begin_behind(Position last, std::uint32_t chain);
  // What comes from here on is of a new response: what the one before left half is forgotten.
  void begin_response();
  // Bytes of the response, cut anywhere. `is_filtered`: lines were left out, so the chain that goes
  // through all of them is counted. Throws ProtocolError on what are no lines of a daystream.
  void take(std::string_view bytes, bool is_filtered);

  // The last whole line that came, or where it began.
  Position last() const noexcept { return last_; }
  // After that line, where lines are left out; nullopt: no line has said it yet.
  std::optional<std::uint32_t> chain() const noexcept { return chain_.value(); }
  // A beat was the last that came: all that was durable is here.
  bool at_tail() const noexcept { return beats_.at_tail(); }
  // It has been so once, in this response or an earlier one.
  bool caught_up() const noexcept { return caught_up_; }

  Spool& spool() noexcept { return spool_; }
  const Spool& spool() const noexcept { return spool_; }

 private:
  Beats beats_;
  std::string unbeaten_;  // for take() alone: it keeps its memory
  LineRuns runs_;
  Spool spool_;
  RunningChain chain_;
  Position last_ = Position::begin();
  bool caught_up_ = false;
};

}  // namespace daystream::remote
