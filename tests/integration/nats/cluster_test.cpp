// Three servers on this machine: any of them killed, stopped, put back, damaged.
#include <catch2/catch.hpp>
#include <csignal>

#include "flow.h"
#include "support/temp_dir.h"
#include "support/wait.h"

using namespace daystream;
using namespace daystream::test;
using namespace nats_test;
using support::eventually;

namespace {

void disturb(Flow& flow, Random& random) {
  const int first = below(random, 3);
  switch (below(random, 5)) {
    case 0:
      flow.broker.restart(first);
      break;
    case 1:  // two
    case 2:  // all
      for (int i = below(random, 2); i < 3; ++i) flow.broker.kill((first + i) % 3);
      for (int i = 0; i < 3; ++i) {
        if (!flow.broker.running(i)) flow.broker.start(i);
      }
      break;
    case 3: {  // it hangs
      const int leader = flow.broker.leader_of("prod").value_or(first);
      flow.broker.signal(SIGSTOP, leader);
      std::this_thread::sleep_for(std::chrono::milliseconds(below(random, 10) == 0 ? 10'000 : 500));
      flow.broker.signal(SIGCONT, leader);
      break;
    }
    default:
      flow.start_publisher();
      flow.start_puller();
  }
}

}  // namespace

TEST_CASE("nats: three servers, of which any are killed or stopped, leave the same bytes",
          "[nats][faults][cluster]") {
  auto random = seeded("three servers");
  Flow flow(1, 3);
  const int count = rounds(3, 500);
  for (int round = 0; round < count; ++round) {
    flow.grow(random);
    disturb(flow, random);
    if (round % 20 != 19) continue;
    CAPTURE(round, flow.publisher->err(), flow.puller->err());
    REQUIRE(eventually(std::chrono::minutes(3), [&] { return flow.is_there(); }));
  }
  CAPTURE(flow.publisher->err(), flow.puller->err());
  CHECK(eventually(std::chrono::minutes(3), [&] { return flow.is_there(); }));
}

TEST_CASE("nats: one of three servers put back to an older copy, or damaged, gives no other bytes",
          "[nats][faults][cluster]") {
  auto random = seeded("one of three");
  Flow flow(1, 3);
  support::ScratchDir olds;
  const int count = rounds(1, 60);
  for (int round = 0; round < count; ++round) {
    const int one = below(random, 3);
    flow.broker.kill(one);
    copy_of(flow.broker.store(one), olds / std::to_string(round));
    flow.broker.start(one);
    flow.grow(random);
    REQUIRE(eventually(std::chrono::minutes(3), [&] { return flow.is_there(); }));
    flow.broker.kill(one);
    if (below(random, 2) == 0) {
      put_back(olds / std::to_string(round), flow.broker.store(one));
    } else {
      for (const auto& file : block_files(flow.broker.store(one))) flip_a_bit(file, random);
    }
    flow.broker.start(one);
    flow.grow(random);
    CAPTURE(round, one);
    // Only that one is asked, and it may have to say that it cannot.
    const auto read = cat(flow.broker.address_of(one));
    CAPTURE(read.err);
    const std::string whole = flow.source.cat();
    CHECK(whole.starts_with(read.out));
    const auto filled = [&] {
      const auto result = cat(flow.broker.address(), {"--fallback", flow.source.path()});
      INFO(result.err);
      CHECK(whole.starts_with(result.out));
      return result.out == whole;
    };
    CHECK(eventually(std::chrono::minutes(3), filled));
  }
}
