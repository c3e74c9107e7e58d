// A storm of changes, with programs killed and connections lost between any two lines: at every
// calm the mirror holds what it is to hold, as a fresh seed has it, or says that it does not.
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdio>

#include "common/seed.h"
#include "weather.h"

using namespace fault;

namespace {

void weather(const std::string& name, const Climate& climate, int in_short, int between) {
  Random random(name);
  Weather weather(random, climate);
  // The long form takes an hour and more: each minute it tells how far it is.
  auto told = std::chrono::steady_clock::now();
  for (int i = 1, count = rounds(in_short, 10'000); i <= count; ++i) {
    weather.step();
    if (i % between != 0) continue;
    if (std::chrono::steady_clock::now() - told >= std::chrono::minutes(1)) {
      told = std::chrono::steady_clock::now();
      std::fprintf(stderr, "%s: %d of %d steps\n", name.c_str(), i, count);
    }
    const std::string complaint = weather.complaint();
    if (!complaint.empty()) {
      CAPTURE(i);
      FAIL(complaint << "\n" << weather.history());
    }
  }
  weather.stop();
}

}  // namespace

TEST_CASE("deltamirror: after every storm a mirror is what it is to be",
          "[fault][deltamirror][shapes][storm]") {
  weather("storm", {}, 300, long_form() ? 5 : 10);
}

TEST_CASE("deltamirror: after storms over three databases their mirror is what it is to be",
          "[fault][deltamirror][shapes][storm]") {
  weather("storms", {.sources = 3}, 60, long_form() ? 10 : 15);
}

TEST_CASE("deltamirror: after a storm a mirror that cannot copy is right, or says what to do",
          "[fault][deltamirror][shapes][storm]") {
  weather("storm alone", {.connected = false}, 60, 10);
}

TEST_CASE("deltamirror: after storms a mirror of three that cannot copy is right, or says so",
          "[fault][deltamirror][shapes][storm]") {
  weather("storms alone", {.sources = 3, .connected = false}, 45, 15);
}

TEST_CASE("deltamirror: after a storm what cannot be copied comes from a newer snapshot",
          "[fault][deltamirror][shapes][storm]") {
  weather("storm lent", {.connected = false, .lent = true}, 40, 10);
}

TEST_CASE("deltamirror: after storms a mirror of three is whole again by a newer snapshot",
          "[fault][deltamirror][shapes][storm]") {
  weather("storms lent", {.sources = 3, .connected = false, .lent = true}, 30, 15);
}
