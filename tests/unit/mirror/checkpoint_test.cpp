#include "store/checkpoint.h"

#include <catch2/catch.hpp>

using namespace deltamirror;

TEST_CASE("checkpoint: a time comes back from its text", "[checkpoint]") {
  for (const std::int64_t us : {0L, 1L, 1507507200'000'001L, 951'782'399'999'999L, now_us()}) {
    CAPTURE(us);
    CHECK(parse_utc_text(utc_text(us)) == us);
  }
  CHECK(parse_utc_text("2026-11-21 10:15:04.123456") == 1795256104'123456L);
  for (const char* text : {"", "never", "2026-11-21", "2026-11-21 10:15:04"}) {
    CHECK_FALSE(parse_utc_text(text));
  }
}
