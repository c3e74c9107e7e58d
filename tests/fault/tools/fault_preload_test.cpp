#include "support/fault_preload.h"

#include <catch2/catch.hpp>
#include <cerrno>

#include "support/process.h"

using namespace support;

namespace {

struct Outcome {
  std::string said;
  std::uint64_t matched, struck;
};

Outcome victim_under(FaultPreload::Plan plan) {
  const TempDir dir;
  std::filesystem::create_directory(dir / "in");
  plan.path_prefix = dir / "in";
  const FaultPreload faults(plan);
  const Result result = run({FAULT_VICTIM, dir / "in", dir / "outside"}, {.env = faults.env()});
  CHECK(result.err == "");
  return {result.out, faults.matched(), faults.struck()};
}

}  // namespace

TEST_CASE("fault preload: a plan without a call to fail only counts", "[fault][tools]") {
  const Outcome seen = victim_under(
      {.calls = {"open", "write", "pwrite", "pread", "fsync", "fdatasync", "ftruncate", "rename"}});
  CHECK(seen.said == "done\n");
  CHECK(seen.matched == 8);
  CHECK(seen.struck == 0);
}

TEST_CASE("fault preload: each call fails by its name, and only under the prefix",
          "[fault][tools]") {
  for (const std::string call :
       {"open", "write", "pwrite", "pread", "fsync", "fdatasync", "ftruncate", "rename"}) {
    CAPTURE(call);
    const Outcome seen = victim_under({.calls = {call}, .at = 1, .error = ENOSPC});
    CHECK(seen.said == call + ": No space left on device\n");
    CHECK(seen.matched == 1);
    CHECK(seen.struck == 1);
  }
}

TEST_CASE("fault preload: the n-th of several calls fails, once", "[fault][tools]") {
  const std::vector<std::string> calls = {"write", "pwrite", "fdatasync", "fsync"};
  for (std::uint64_t n = 1; n <= 4; ++n) {
    CHECK(victim_under({.calls = calls, .at = n, .error = EIO}).said ==
          calls[n - 1] + ": Input/output error\n");
  }
  CHECK(victim_under({.calls = calls, .at = 5}).said == "done\n");
}

TEST_CASE("fault preload: a short write writes half; sticky, the disk is then full",
          "[fault][tools]") {
  CHECK(victim_under({.calls = {"write"}, .at = 1, .short_write = true}).said == "short 5\ndone\n");
  CHECK(victim_under(
            {.calls = {"write"}, .at = 1, .sticky = true, .short_write = true, .error = ENOSPC})
            .said == "short 5\nwrite: No space left on device\n");
}

TEST_CASE("fault preload: the count goes on over runs, and heal() ends it", "[fault][tools]") {
  const TempDir dir;
  std::filesystem::create_directory(dir / "in");
  FaultPreload faults(
      {.calls = {"fsync"}, .path_prefix = dir / "in", .at = 2, .sticky = true, .log_syncs = true});
  const std::vector<std::string> argv = {FAULT_VICTIM, dir / "in", dir / "outside"};
  CHECK(run(argv, {.env = faults.env()}).out == "done\n");
  CHECK(run(argv, {.env = faults.env()}).out == "fsync: Input/output error\n");
  CHECK(run(argv, {.env = faults.env()}).out == "fsync: Input/output error\n");
  faults.heal();
  CHECK(run(argv, {.env = faults.env()}).out == "done\n");
  CHECK(faults.matched() == 4);
  CHECK(faults.struck() == 2);

  const std::vector<FaultPreload::Sync> syncs = faults.sync_log();
  REQUIRE(syncs.size() == 6);  // four fdatasyncs, two fsyncs that did not fail
  CHECK(syncs[0].path == (dir / "in/new").string());
  CHECK(syncs[0].size_bytes == 8);
}

TEST_CASE("fault preload: what fails is said while it runs, as often as is wanted",
          "[fault][tools]") {
  const TempDir dir;
  std::filesystem::create_directory(dir / "in");
  FaultPreload faults({.calls = {"write", "fsync"}, .path_prefix = dir / "in"});
  const std::vector<std::string> argv = {FAULT_VICTIM, dir / "in", dir / "outside"};
  CHECK(run(argv, {.env = faults.env()}).out == "done\n");
  faults.arm({.in = 2, .error = ENOSPC});
  CHECK(run(argv, {.env = faults.env()}).out == "fsync: No space left on device\n");
  CHECK(run(argv, {.env = faults.env()}).out == "done\n");
  faults.arm({.in = 1, .short_write = true});
  CHECK(run(argv, {.env = faults.env()}).out == "short 5\ndone\n");
  CHECK(faults.struck() == 2);
}

TEST_CASE("fault preload: what is excepted does not count", "[fault][tools]") {
  const Outcome seen =
      victim_under({.calls = {"open", "rename"}, .except = {"/none", "/new"}, .at = 1});
  CHECK(seen.said == "rename: Input/output error\n");
  CHECK(seen.matched == 1);
}

TEST_CASE("fault preload: a delayed fsync takes its time", "[fault][tools]") {
  const auto begin = std::chrono::steady_clock::now();
  victim_under({.sync_delay = std::chrono::milliseconds{100}});
  CHECK(std::chrono::steady_clock::now() - begin >= std::chrono::milliseconds{200});
}
