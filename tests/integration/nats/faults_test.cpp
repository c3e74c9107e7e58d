// What a broker can lose, and what its death does.
#include <catch2/catch.hpp>
#include <csignal>

#include "flow.h"
#include "support/temp_dir.h"
#include "support/wait.h"

using namespace daystream;
using namespace daystream::test;
using namespace nats_test;
using support::eventually;

TEST_CASE("nats: publisher, reader and broker killed anywhere leave the same bytes",
          "[nats][faults]") {
  auto random = seeded("killed anywhere");
  Flow flow;
  const int count = rounds(25, 500);
  for (int round = 0; round < count; ++round) {
    flow.grow(random);
    std::this_thread::sleep_for(std::chrono::milliseconds(below(random, 40)));
    switch (below(random, 3)) {
      case 0:
        flow.start_publisher();
        break;
      case 1:
        flow.start_puller();
        break;
      default:
        flow.broker.restart();
    }
  }
  CAPTURE(flow.publisher->err(), flow.puller->err());
  CHECK(eventually([&] { return flow.is_same(); }));
  CHECK(flow.publisher->running());
  CHECK(flow.puller->running());
}

TEST_CASE("nats: a stream that is deleted is made again, and readers go on", "[nats][faults]") {
  Flow flow(3);
  flow.broker.kill();
  std::filesystem::remove_all(flow.broker.store());
  flow.broker.start();
  flow.source.add(3);
  flow.source.flush();
  CHECK(eventually([&] { return flow.is_same(); }));
  CHECK(flow.publisher->running());
  CHECK(flow.puller->running());
}

TEST_CASE("nats: a store put back to an older copy gives no other bytes", "[nats][faults]") {
  Flow flow(2);
  Broker& broker = flow.broker;
  support::ScratchDir copies;
  broker.signal(SIGTERM);
  broker.kill();
  copy_of(broker.store(), copies / "old");
  broker.start();
  for (int i = 0; i < 30; ++i) {
    flow.source.add(3, i == 15 ? 86400 : 1);
    flow.source.flush();
  }
  REQUIRE(eventually([&] { return flow.is_same(); }));
  broker.kill();
  put_back(copies / "old", broker.store());
  broker.start();
  flow.source.add(3);
  flow.source.flush();
  CHECK(eventually([&] { return flow.is_same(); }));
  CHECK(cat(broker.address()).out == flow.source.cat());
  CHECK(flow.publisher->running());
  CHECK(flow.puller->running());
}

TEST_CASE("nats: flipped bits in the broker's files are never read as something else",
          "[nats][faults]") {
  Source source(2);
  for (int i = 0; i < 20; ++i) source.add(500);
  source.add_days(2);
  Broker broker;
  REQUIRE(publish(source, broker).ok());
  const std::string whole = source.cat();
  broker.signal(SIGTERM);
  broker.kill();
  support::ScratchDir copies;
  copy_of(broker.store(), copies / "good");
  auto random = seeded("flipped bits");
  int refused = 0;
  for (int round = 0; round < rounds(6, 300); ++round) {
    put_back(copies / "good", broker.store());
    const auto blocks = block_files(broker.store());
    REQUIRE(!blocks.empty());
    for (int i = 0; i < 4; ++i) flip_a_bit(blocks[random() % blocks.size()], random);
    broker.start();
    const auto read = cat(broker.address());
    CAPTURE(round, read.err);
    CHECK((read.exit.code == 0 || read.exit.code == 3 || read.exit.code == 1));
    // Whole lines of what is right, and no more.
    CHECK(whole.starts_with(read.out));
    refused += read.exit.code == 0 ? 0 : 1;
    const auto filled = cat(broker.address(), {"--fallback", source.path()});
    CAPTURE(filled.err);
    if (filled.exit.code == 0) CHECK(whole.starts_with(filled.out));
    if (read.exit.code == 3) CHECK(filled.out == whole);
    broker.kill();
  }
  WARN("of the rounds, so many ended in an error: " << refused);
}
