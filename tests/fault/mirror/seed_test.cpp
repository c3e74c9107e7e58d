// A seed that is killed, or whose disk fails, leaves nothing that looks like a mirror.
#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>

#include "common/seed.h"
#include "recorded_mirror.h"
#include "support/fault_preload.h"
#include "support/process.h"

using namespace fault;
using support::FaultPreload;
using Strings = std::vector<std::string>;

namespace {

// What a stopped seed may leave: a whole mirror or none; and a later seed is not in its way.
void check_left(RecordedMirror& recorded, const std::filesystem::path& mirror) {
  if (!std::filesystem::exists(mirror)) {
    const support::Result again = support::run(recorded.seed(mirror));
    INFO(again.err);
    REQUIRE(again.exit == support::Exit{0, 0});
  }
  const support::Result replay = support::run(recorded.replay(mirror));
  INFO(replay.err);
  CHECK(replay.exit == support::Exit{0, 0});
  CHECK(recorded.complaints(mirror) == Strings{});
}

}  // namespace

TEST_CASE("deltamirror: a seed killed at random leaves a whole mirror or none",
          "[fault][deltamirror][seed]") {
  RecordedMirror recorded(100, run_seed());
  Random random("kill seed");
  // However fast the machine is, a seed takes as long as the disk does, and is killed before that.
  constexpr std::chrono::milliseconds kSync{40};
  const auto start = [&](const support::TempDir& dir, const FaultPreload& faults) {
    return support::Process(recorded.seed(dir / "mirror.db"), {.env = faults.env()});
  };
  const auto plan = [](const support::TempDir& dir, std::chrono::milliseconds delay) {
    return FaultPreload::Plan{.calls = {"fsync", "fdatasync"},
                              .path_prefix = dir.path().string() + "/",
                              .sync_delay = delay};
  };
  std::uint64_t syncs = 0;
  {
    const support::TempDir dir;
    const FaultPreload faults(plan(dir, {}));
    CHECK(start(dir, faults).wait() == support::Exit{0, 0});
    syncs = faults.matched();
    REQUIRE(syncs > 0);
  }
  int killed = 0;
  for (int i = 0, count = rounds(6, 300); i < count; ++i) {
    CAPTURE(i);
    const support::TempDir dir;
    const FaultPreload faults(plan(dir, kSync));
    support::Process seed = start(dir, faults);
    if (!seed.wait(std::chrono::milliseconds(random.below(syncs * kSync.count())))) {
      seed.signal(SIGKILL);
      seed.wait();
      ++killed;
    }
    check_left(recorded, dir / "mirror.db");
  }
  CHECK(killed > 0);
}

TEST_CASE("deltamirror: whichever system call of a seed fails, it leaves a whole mirror or none",
          "[fault][deltamirror][seed][io]") {
  RecordedMirror recorded(100, run_seed());
  Random random("seed calls");
  const Strings calls = {"pwrite", "write", "fsync",  "fdatasync", "open",
                         "rename", "link",  "unlink", "ftruncate", "mmap"};
  const auto try_one = [&](std::uint64_t n, bool sticky) {
    CAPTURE(n, sticky);
    const support::TempDir dir;
    const FaultPreload faults({.calls = calls,
                               .path_prefix = dir.path().string() + "/",
                               .at = n,
                               .sticky = sticky,
                               .error = ENOSPC});
    const support::Result seed =
        support::run(recorded.seed(dir / "mirror.db"), {.env = faults.env()});
    INFO(seed.err);
    CHECK(seed.exit.signal == 0);
    CHECK((seed.exit.code == 0 || seed.exit.code == 1));
    CHECK(std::filesystem::exists(dir / "mirror.db") == (seed.exit.code == 0));
    check_left(recorded, dir / "mirror.db");
    return faults.matched();
  };
  const std::uint64_t count = try_one(1'000'000, false);
  REQUIRE(count > 5);
  const auto tries = static_cast<std::uint64_t>(rounds(5, 100000));
  for (const bool sticky : {false, true}) {
    for (std::uint64_t i = 0; i < std::min(tries, count); ++i) {
      try_one(tries >= count ? i + 1 : 1 + random.below(count), sticky);
    }
  }
}
