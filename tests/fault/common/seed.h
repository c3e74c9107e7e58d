// Randomness that can be had again, and how long a fault test may take.
#pragma once

#include <cstdint>
#include <random>
#include <string>

namespace fault {

// Every random test of a run begins from this: DELTAFLOOD_FAULT_SEED where given, else new for each
// run; printed to standard error the first time.
std::uint64_t run_seed();

// True in the long form (suite fault-long): DELTAFLOOD_FAULT_LONG is set and not 0.
bool long_form();

// DELTAFLOOD_FAULT_ROUNDS where given, else the one that fits the form.
int rounds(int in_short, int in_long);

// Whether case `n` of an exhaustive test is for this process: all are, unless
// DELTAFLOOD_FAULT_SHARD=I/N (0 <= I < N) shares them among N processes that run side by side.
bool in_shard(std::uint64_t n);

// A generator of its own for each test, so that the order of tests does not matter.
class Random {
 public:
  explicit Random(const std::string& test);
  std::uint64_t below(std::uint64_t limit) {
    return std::uniform_int_distribution<std::uint64_t>(0, limit - 1)(engine_);
  }
  bool one_in(std::uint64_t n) { return below(n) == 0; }

 private:
  std::mt19937_64 engine_;
};

}  // namespace fault
