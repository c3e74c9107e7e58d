// Each system call by which deltastream writes fails, one after the other.
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>

#include "common/power_loss.h"
#include "common/recorded_session.h"
#include "common/seed.h"
#include "support/fault_preload.h"

using namespace fault;
using support::FaultPreload;

namespace {

struct Failure {
  const char* name;
  int error;
  bool short_write;
};
const Failure kFailures[] = {
    {"EIO", EIO, false}, {"ENOSPC", ENOSPC, false}, {"short", ENOSPC, true}};

// One run of the scenario with the n-th call failing; false once there is no n-th call.
bool survives_failure(RecordedSession& session, const std::vector<std::string>& calls,
                      const Failure& failure, bool sticky, std::uint64_t n, Random& random) {
  CAPTURE(calls, failure.name, sticky, n);
  const support::TempDir dir;
  session.fresh_slot();
  FaultPreload faults({.calls = calls,
                       .path_prefix = dir.path().string() + "/",
                       // These only tell people who is at work, and how it goes.
                       .except = {"status.json", "/lock"},
                       .at = n,
                       .sticky = sticky,
                       .short_write = failure.short_write,
                       .error = failure.error,
                       .log_syncs = true});
  const support::Result failed =
      support::run(session.deltastream(dir / "d", {"-n"}), {.env = faults.env()});
  INFO(failed.err);
  if (faults.matched() < n) {
    CHECK(failed.exit == support::Exit{0, 0});
    CHECK(session.complaint(dir / "d") == "");
    return false;
  }
  // A short write that is not followed by a full disk is no failure at all.
  const bool harmless = failure.short_write && !sticky;
  if (harmless && calls[0] == "write") {
    CHECK(failed.exit == support::Exit{0, 0});
  } else {
    CHECK(failed.exit.signal == 0);
    CHECK(failed.exit.code == 1);
    CHECK_THAT(failed.err, Catch::Contains(std::strerror(failure.error)));
  }

  // A sync that failed is not tried again, nor is another: the kernel has forgotten what it was
  // for.
  if (calls[0] == "fsync" && !sticky) CHECK(faults.matched() == n);

  // What the slot has let go of is on the disk: also if the power goes now.
  if (std::filesystem::exists(dir / "d")) {
    const PowerLoss loss(dir / "d", faults.sync_log());
    const support::StreamContent kept = loss.durable_content();
    CHECK(session.prefix_complaint(kept) == "");
    CHECK(session.confirmed_flush() <= std::max(kept.last_lsn(), loss.first_lsn()));
    if (random.one_in(2)) loss.strike(random);
  }

  const support::Result again = support::run(session.deltastream(dir / "d"));
  INFO(again.err);
  CHECK(again.exit == support::Exit{0, 0});
  CHECK(session.complaint(dir / "d") == "");
  return true;
}

}  // namespace

TEST_CASE("deltastream: whichever system call fails, nothing is lost and a restart is right",
          "[fault][deltastream][io]") {
  RecordedSession session(true);
  Random random("failing calls");
  const std::vector<std::vector<std::string>> groups = {
      {"write", "pwrite"}, {"fsync", "fdatasync"}, {"open", "mkdir"}, {"rename", "ftruncate"}};
  for (const std::vector<std::string>& calls : groups) {
    for (const Failure& failure : kFailures) {
      if (failure.short_write && calls[0] != "write") continue;
      for (const bool sticky : {false, true}) {
        const std::uint64_t stride = long_form() ? 1 : 5;
        const std::uint64_t first = long_form() ? 1 : 1 + random.below(stride);
        for (std::uint64_t n = first; survives_failure(session, calls, failure, sticky, n, random);
             n += stride) {
          REQUIRE(n < 1000);
        }
      }
    }
  }
}
