// deltamirror is killed at random while it replays.
#include <catch2/catch.hpp>
#include <csignal>

#include "common/invariant_reader.h"
#include "common/seed.h"
#include "recorded_mirror.h"
#include "support/process.h"

using namespace fault;
using Strings = std::vector<std::string>;

TEST_CASE("deltamirror: killed at random while it replays, it goes on from exactly there",
          "[fault][deltamirror][kill]") {
  RecordedMirror recorded(2000, run_seed());
  Random random("kill deltamirror");
  const support::TempDir dir;
  const int kills = rounds(40, 1000);
  int killed = 0, replays = 0;
  while (killed < kills) {
    const auto mirror = recorded.fresh_copy(dir / ("m" + std::to_string(++replays)));
    InvariantReader reader(mirror);
    // The time a whole replay takes says when a kill may come.
    std::int64_t n = 0;
    for (bool done = false; !done && killed < kills;) {
      CAPTURE(killed, replays);
      support::Process run(recorded.replay(mirror));
      const auto end = run.wait(std::chrono::milliseconds(5 + random.below(150)));
      if (end) {
        INFO(run.err());
        REQUIRE(*end == support::Exit{0, 0});
        done = true;
      } else {
        run.signal(SIGKILL);
        run.wait();
        ++killed;
      }
      REQUIRE(RecordedMirror::state_complaints(mirror) == Strings{});
      // A kill alone loses nothing that readers have seen.
      const std::int64_t now = mirror_n(mirror);
      REQUIRE(now >= n);
      n = now;
    }
    support::run_ok(recorded.replay(mirror));
    CHECK(recorded.complaints(mirror) == Strings{});
    reader.stop();
    CHECK(reader.violations() == Strings{});
  }
}
