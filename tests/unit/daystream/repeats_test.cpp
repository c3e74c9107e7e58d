#include "program/repeats.h"

#include <catch2/catch.hpp>

#include "program/hint.h"
#include "program/quoted.h"

using daystream::program::AtMostEvery;
using daystream::program::Repeats;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {
const Repeats::Clock::time_point kStart{std::chrono::hours(1)};
}  // namespace

TEST_CASE("repeats: a trouble is said at once, then each minute with how often it was met",
          "[program]") {
  Repeats repeats;
  CHECK(repeats.met("no route", kStart) == "no route");
  CHECK(repeats.met("no route", kStart + seconds(1)) == std::nullopt);
  CHECK(repeats.met("refused", kStart + seconds(2)) == "refused");
  CHECK(repeats.met("no route", kStart + seconds(59)) == std::nullopt);
  CHECK(repeats.met("no route", kStart + seconds(60)) == "no route (for 1 min now, 4 times)");
  CHECK(repeats.met("no route", kStart + seconds(61)) == std::nullopt);
}

TEST_CASE("repeats: once a trouble is over it is news again", "[program]") {
  Repeats repeats;
  CHECK(repeats.met("no route", kStart).has_value());
  repeats.clear();
  CHECK(repeats.met("no route", kStart + seconds(1)) == "no route");
}

TEST_CASE("repeats: what has another text each time is said once an interval at most",
          "[program]") {
  AtMostEvery words{minutes(10)};
  CHECK(words.last() == std::nullopt);
  CHECK(words.due(kStart));
  CHECK_FALSE(words.due(kStart + minutes(10) - seconds(1)));
  CHECK(words.last() == kStart);
  CHECK(words.due(kStart + minutes(10)));
  CHECK_FALSE(words.due(kStart + minutes(11)));
}

TEST_CASE("hints: one behind another, which may be SQL", "[program]") {
  using daystream::program::hint_then;
  CHECK(hint_then("", "SIGHUP") == "SIGHUP");
  CHECK(hint_then("mend it", "SIGHUP") == "mend it; SIGHUP");
  CHECK(hint_then("GRANT a TO b;", "SIGHUP") == "GRANT a TO b; SIGHUP");
  CHECK(daystream::program::in_quotes("fox") == "\"fox\"");
  CHECK(daystream::program::in_quotes("\"Fox\"") == "\"Fox\"");
}
