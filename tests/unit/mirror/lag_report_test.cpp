// How soon a mirror's own host knows what a server knows.
#include "owner/lag_report.h"

#include <catch2/catch.hpp>
#include <chrono>

#include "program/metrics_file.h"
#include "program/stream_health.h"

TEST_CASE("lag report: a file of metrics tells within 15 s of a stream that nobody writes",
          "[mirror][health]") {
  using namespace std::chrono_literals;
  // A deltastream tells whole seconds of when it was there last.
  const auto silent = std::chrono::seconds(daystream::program::kStreamerSilentS) + 1s;
  const auto told =
      silent + deltamirror::LagReport::kAgain + daystream::program::MetricsFile::kInterval;
  CHECK(told <= 15s - 1s);  // and one for the answers on the way
}
