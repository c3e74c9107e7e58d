// Each system call by which SQLite works on the mirror fails, one after the other.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>

#include "common/seed.h"
#include "recorded_mirror.h"
#include "support/fault_preload.h"
#include "support/process.h"

using namespace fault;
using support::FaultPreload;
using Strings = std::vector<std::string>;

namespace {

// How many there are, in a run in which none fails.
std::uint64_t calls_of(RecordedMirror& recorded, const Strings& calls) {
  const support::TempDir dir;
  const auto mirror = recorded.fresh_copy(dir / "m");
  const FaultPreload counter(
      {.calls = calls, .path_prefix = (dir / "m").string() + "/", .open_for_write_only = false});
  support::run_ok(recorded.replay(mirror), {.env = counter.env()});
  return counter.matched();
}

// False once the program makes fewer than n such calls.
bool survives_failure(RecordedMirror& recorded, const Strings& calls, int error, bool sticky,
                      std::uint64_t n) {
  CAPTURE(calls, error, sticky, n);
  const support::TempDir dir;
  const auto mirror = recorded.fresh_copy(dir / "m");
  const FaultPreload faults({.calls = calls,
                             .path_prefix = (dir / "m").string() + "/",
                             .at = n,
                             .sticky = sticky,
                             .error = error,
                             .open_for_write_only = false});
  const support::Result failed = support::run(recorded.replay(mirror), {.env = faults.env()});
  INFO(failed.err);
  CHECK(failed.exit.signal == 0);
  CHECK((failed.exit.code == 0 || failed.exit.code == 1));
  // SQLite takes a page that the disk did not give for a damaged one; it is not.
  CHECK_THAT(failed.err, !Catch::Contains("malformed"));
  CHECK(RecordedMirror::state_complaints(mirror) == Strings{});
  if (failed.exit.code == 0) CHECK(recorded.complaints(mirror) == Strings{});

  const support::Result again = support::run(recorded.replay(mirror));
  INFO(again.err);
  CHECK(again.exit == support::Exit{0, 0});
  CHECK(recorded.complaints(mirror) == Strings{});
  return faults.struck() > 0;
}

}  // namespace

TEST_CASE("deltamirror: whichever call of SQLite fails, the mirror stays at a state it had",
          "[fault][deltamirror][io]") {
  RecordedMirror recorded(100, run_seed());
  Random random("mirror calls");
  const std::vector<std::pair<Strings, int>> groups = {{{"pwrite", "write", "ftruncate"}, ENOSPC},
                                                       {{"pwrite", "write"}, EIO},
                                                       {{"fsync", "fdatasync"}, EIO},
                                                       {{"pread", "read"}, EIO},
                                                       {{"open", "unlink", "mmap"}, EIO}};
  for (const auto& [calls, error] : groups) {
    const std::uint64_t count = calls_of(recorded, calls);
    CAPTURE(calls, count);
    REQUIRE(count > 0);
    const auto tries = static_cast<std::uint64_t>(rounds(3, 100000));
    for (const bool sticky : {false, true}) {
      if (tries >= count) {
        for (std::uint64_t n = 1; survives_failure(recorded, calls, error, sticky, n); ++n) {
          REQUIRE(n < 2 * count + 100);
        }
      } else {
        for (std::uint64_t i = 0; i < tries; ++i) {
          survives_failure(recorded, calls, error, sticky, 1 + random.below(count));
        }
      }
    }
  }
}

TEST_CASE("deltamirror: a page that its disk does not give is not a damaged one",
          "[fault][deltamirror][io]") {
  RecordedMirror recorded(20, run_seed());
  const std::uint64_t count = calls_of(recorded, {"pread"});
  const auto tries = static_cast<std::uint64_t>(rounds(10, 100000));
  for (std::uint64_t n = 1; n <= count; n += std::max<std::uint64_t>(1, count / tries)) {
    survives_failure(recorded, {"pread"}, EIO, false, n);
  }
}
