// What a broker can lose, and what its death does.
#include <catch2/catch.hpp>
#include <csignal>
#include <random>

#include "broker.h"
#include "support/temp_dir.h"
#include "support/wait.h"

using namespace daystream;
using namespace daystream::test;
using namespace nats_test;
using support::eventually;

TEST_CASE("nats: publisher, reader and broker killed anywhere leave the same bytes",
          "[nats][faults]") {
  auto random = seeded("killed anywhere");
  const auto one_of = [&random](int count) { return below(random, count); };
  Source source(1);
  Broker broker;
  support::ScratchDir copies;
  const std::vector<std::string> publishing = {"publish", source.path(), broker.address()};
  const std::vector<std::string> pulling = {"pull", broker.address(), copies / "copy"};
  auto publisher = daystream_process(publishing);
  REQUIRE(eventually([&] { return can_be_read(broker); }));
  auto puller = daystream_process(pulling);
  const int count = rounds(25, 500);
  for (int round = 0; round < count; ++round) {
    for (int i = one_of(8); i >= 0; --i) {
      source.add(1 + (one_of(10) == 0 ? 20'000 : one_of(5)), one_of(20) == 0 ? 86400 : 1);
      if (one_of(2) == 0) source.flush();
    }
    source.flush();
    std::this_thread::sleep_for(std::chrono::milliseconds(one_of(40)));
    switch (one_of(3)) {
      case 0:
        publisher = daystream_process(publishing);  // the old one is killed
        break;
      case 1:
        puller = daystream_process(pulling);
        break;
      default:
        broker.restart();
    }
  }
  CHECK(eventually(
      [&] { return slurp(copies / "copy" / "durable") == slurp(source.directory / "durable"); }));
  CHECK(difference(source.directory.path(), copies / "copy") == "");
  CAPTURE(publisher.err(), puller.err());
  CHECK(publisher.running());
  CHECK(puller.running());
}

TEST_CASE("nats: a stream that is deleted is made again, and readers go on", "[nats][faults]") {
  Source source;
  Broker broker;
  support::ScratchDir copies;
  auto publisher = daystream_process({"publish", source.path(), broker.address()});
  REQUIRE(eventually([&] { return can_be_read(broker); }));
  auto puller = daystream_process({"pull", broker.address(), copies / "copy"});
  const auto is_there = [&] {
    return slurp(copies / "copy" / "durable") == slurp(source.directory / "durable");
  };
  REQUIRE(eventually(is_there));
  broker.kill();
  std::filesystem::remove_all(broker.store());
  broker.start();
  source.add(3);
  source.flush();
  CHECK(eventually(is_there));
  CHECK(difference(source.directory.path(), copies / "copy") == "");
}

TEST_CASE("nats: a store put back to an older copy gives no other bytes", "[nats][faults]") {
  Source source(2);
  Broker broker;
  support::ScratchDir copies;
  auto publisher = daystream_process({"publish", source.path(), broker.address()});
  REQUIRE(eventually([&] { return can_be_read(broker); }));
  auto puller = daystream_process({"pull", broker.address(), copies / "copy"});
  const auto is_there = [&] {
    return slurp(copies / "copy" / "durable") == slurp(source.directory / "durable");
  };
  REQUIRE(eventually(is_there));
  broker.signal(SIGTERM);
  broker.kill();
  copy_of(broker.store(), copies / "old");
  broker.start();
  for (int i = 0; i < 30; ++i) {
    source.add(3, i == 15 ? 86400 : 1);
    source.flush();
  }
  REQUIRE(eventually(is_there));
  broker.kill();
  put_back(copies / "old", broker.store());
  broker.start();
  source.add(3);
  source.flush();
  CHECK(eventually(is_there));
  CHECK(difference(source.directory.path(), copies / "copy") == "");
  CHECK(daystream_command({"cat", broker.address()}).out == source.cat());
  CHECK(publisher.running());
  CHECK(puller.running());
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
    const auto read = daystream_command({"cat", broker.address()});
    CAPTURE(round, read.err);
    CHECK((read.exit.code == 0 || read.exit.code == 3 || read.exit.code == 1));
    // Whole lines of what is right, and no more.
    CHECK(whole.starts_with(read.out));
    refused += read.exit.code == 0 ? 0 : 1;
    const auto filled = daystream_command({"cat", broker.address(), "--fallback", source.path()});
    CAPTURE(filled.err);
    if (filled.exit.code == 0) CHECK(whole.starts_with(filled.out));
    if (read.exit.code == 3) CHECK(filled.out == whole);
    broker.kill();
  }
  WARN("of the rounds, so many ended in an error: " << refused);
}
