// The clock the Writer gets `_c` from. A clock that steps back is no problem; one that is far ahead
// would carry every later `_c` with it for good, so we stop (docs/guarantees.md#order).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

namespace deltastream {

class ClockGuard {
 public:
  using Seconds = std::int64_t;
  inline static constexpr Seconds kTooFarAhead = 3600;

  // Tests give both clocks. Both count microseconds: `wall` since 1970; `elapsed` never steps, and
  // runs on while this process is stopped or the machine sleeps.
  ClockGuard();
  ClockGuard(std::function<std::int64_t()> wall, std::function<std::int64_t()> elapsed);

  // The server's clock shows `server_us` at this moment. Called when connecting.
  void set_server(std::int64_t server_us);
  // A message sent at `server_us` has come; it may have waited in a buffer.
  void saw_server(std::int64_t server_us) noexcept;

  // Our clock. Throws NeedsPerson if it is more than an hour ahead of the server's and of `last_c`,
  // the second of the daystream's last line.
  Seconds now(Seconds last_c) const;

 private:
  std::function<std::int64_t()> wall_;
  std::function<std::int64_t()> elapsed_;
  std::int64_t server_us_ = 0;  // the server's clock when elapsed_() was set_at_us_
  std::int64_t set_at_us_ = 0;
  bool known_ = false;
};

}  // namespace deltastream
