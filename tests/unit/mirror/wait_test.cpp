#include "wait.h"

#include <catch2/catch.hpp>

using namespace deltamirror;

TEST_CASE("wait: times are read as people write them, in UTC", "[mirror][wait]") {
  const std::int64_t now = 1'795'255'204'123'456;
  const auto time = [&](std::string_view text) { return parse_wait_time(text, now).value_or("-"); };
  CHECK(time("now") == "2026-11-21 10:00:04.123456");
  CHECK(time("@1795255204.5") == "2026-11-21 10:00:04.500000");
  CHECK(time("2026-11-21 10:15") == "2026-11-21 10:15:00.000000");
  CHECK(time("2026-11-21T10:15:04Z") == "2026-11-21 10:15:04.000000");
  CHECK(time("2026-11-21 10:15:04.25") == "2026-11-21 10:15:04.250000");
  for (const char* bad : {"", "yesterday", "2026-11-31 10:15", "2026-11-21", "2026-11-21 25:00",
                          "2026-11-21 10:15:04+02", "@", "@-1", "@1e99"}) {
    CAPTURE(bad);
    CHECK(time(bad) == "-");
  }
}
