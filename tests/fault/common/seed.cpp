#include "common/seed.h"

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

namespace fault {

namespace {

const char* environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

std::uint64_t run_seed() {
  static const std::uint64_t seed = [] {
    const std::string given = environment("DELTAFLOOD_FAULT_SEED");
    const std::uint64_t chosen =
        given.empty() ? std::random_device{}() : std::strtoull(given.c_str(), nullptr, 10);
    std::fprintf(stderr, "seed: DELTAFLOOD_FAULT_SEED=%llu repeats this run\n",
                 static_cast<unsigned long long>(chosen));
    return chosen;
  }();
  return seed;
}

bool long_form() {
  const std::string value = environment("DELTAFLOOD_FAULT_LONG");
  return !value.empty() && value != "0";
}

int rounds(int in_short, int in_long) {
  const std::string given = environment("DELTAFLOOD_FAULT_ROUNDS");
  if (!given.empty()) return std::atoi(given.c_str());
  return long_form() ? in_long : in_short;
}

bool in_shard(std::uint64_t n) {
  unsigned shard = 0, count = 1;
  const char* given = environment("DELTAFLOOD_FAULT_SHARD");
  if (*given != '\0' && (std::sscanf(given, "%u/%u", &shard, &count) != 2 || shard >= count)) {
    throw std::runtime_error(std::string("DELTAFLOOD_FAULT_SHARD: not I/N: ") + given);
  }
  return n % count == shard;
}

Random::Random(const std::string& test) {
  std::seed_seq mixed(test.begin(), test.end());
  std::uint32_t words[2];
  mixed.generate(words, words + 2);
  engine_.seed(run_seed() ^ ((std::uint64_t{words[0]} << 32) | words[1]));
}

}  // namespace fault
