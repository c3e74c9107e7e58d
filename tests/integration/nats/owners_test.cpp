// Whose a stream is: who may publish there, and what two publishers can do to each other.
#include <catch2/catch.hpp>
#include <csignal>
#include <vector>

#include "broker.h"
#include "support/temp_dir.h"
#include "support/wait.h"

using namespace daystream;
using namespace daystream::test;
using namespace nats_test;
using support::eventually;

namespace {

support::Result publish_at(const std::string& directory, const Broker& broker) {
  return daystream_command({"publish", directory, broker.address(), "--once"});
}

// A copy of it that goes on with transactions of its own.
struct Fork {
  explicit Fork(Source& source) {
    source.writer_.release_files();
    std::filesystem::remove_all(stream.directory.path());
    copy_of(source.directory.path(), stream.directory.path());
    stream.now = source.now;
    number = source.number_;
    writer.emplace(stream.directory.path(), Source::manifest_of("den-1"), std::nullopt,
                   stream.options());
  }
  void add(int rows) {
    ++stream.now;
    writer->append(transaction(++number, rows));
    writer->flush();
  }
  std::string path() const { return stream.directory.path().string(); }

  WrittenStream stream;
  std::optional<Writer> writer;
  int number = 0;
};

}  // namespace

TEST_CASE("nats: several publishers of one stream do the same", "[nats][faults]") {
  auto random = seeded("several publishers");
  Source source(1);
  Broker broker;
  support::ScratchDir copies;
  std::vector<support::Process> publishers;
  for (int i = 0; i < 4; ++i) {
    publishers.push_back(daystream_process({"publish", source.path(), broker.address()}));
  }
  // Each stands still at any moment, while the others go on.
  for (int i = 0; i < 400; ++i) {
    source.add(1 + (i % 50 == 0 ? 20'000 : 1), i % 60 == 59 ? 86400 : 1);
    source.flush();
    publishers[random() % 4].signal(random() % 2 == 0 ? SIGSTOP : SIGCONT);
  }
  for (auto& publisher : publishers) publisher.signal(SIGCONT);
  const auto pulled = [&] {
    return daystream_command({"pull", broker.address(), copies / "copy", "--once"}).ok() &&
           slurp(copies / "copy" / "durable") == slurp(source.directory / "durable");
  };
  CHECK(eventually(pulled));
  CHECK(difference(source.directory.path(), copies / "copy") == "");
  for (auto& publisher : publishers) {
    CAPTURE(publisher.err());
    CHECK(publisher.running());
  }
}

TEST_CASE("nats: what somebody else stores takes the place of nothing of ours", "[nats][owners]") {
  Source source(1);
  Broker broker;
  auto publisher = daystream_process({"publish", source.path(), broker.address()});
  const auto is_whole = [&] { return cat(broker.address()).out == source.cat(); };
  REQUIRE(eventually(is_whole));
  publisher.signal(SIGSTOP);
  auto link = link_to(broker.address());
  const std::uint64_t last = link.api("STREAM.INFO.prod", nullptr)->at("state").at("last_seq");
  CHECK(link.store_behind(last, "ds.prod.hello", {}, "fox"));
  CHECK_FALSE(link.store_behind(last, "ds.prod.hello", {}, "fox"));
  for (int i = 0; i < 4; ++i) source.add(20'000);  // several messages
  source.flush();
  publisher.signal(SIGCONT);
  CHECK(eventually(is_whole));
  CHECK(publisher.running());
}

TEST_CASE("nats: the publisher of a forked copy ends, and readers have one of the two whole",
          "[nats][owners]") {
  Source source(1);
  Broker broker;
  REQUIRE(publish(source, broker).ok());
  Fork fork(source);
  source.add(3);
  source.flush();
  fork.add(1);
  REQUIRE(publish(source, broker).ok());
  for (const char* const than : {"shorter", "longer"}) {
    CAPTURE(than);
    const auto forked = publish_at(fork.path(), broker);
    CHECK(forked.exit.code == 3);
    CHECK(forked.err.find("other bytes") != std::string::npos);
    fork.add(50);
  }
  CHECK(cat(broker.address()).out == source.cat());
}

TEST_CASE("nats: of two publishers at once, one of a forked copy, one ends and one stays",
          "[nats][owners]") {
  Source source(1);
  Broker broker;
  REQUIRE(publish(source, broker).ok());
  Fork fork(source);
  auto one = daystream_process({"publish", source.path(), broker.address()});
  auto other = daystream_process({"publish", fork.path(), broker.address()});
  for (int i = 0; i < 40; ++i) {
    source.add(1 + i % 4);
    source.flush();
    fork.add(1 + i % 3);
  }
  REQUIRE(eventually([&] { return !one.running() || !other.running(); }));
  const bool is_source = one.running();
  auto& loser = is_source ? other : one;
  CHECK(loser.wait().code == 3);
  CHECK(loser.err().find("other bytes") != std::string::npos);
  const std::string winner = is_source ? source.path() : fork.path();
  const std::string whole = cat(winner).out;
  CHECK(eventually([&] { return cat(broker.address()).out == whole; }));
  CHECK((is_source ? one : other).running());
}

TEST_CASE("nats: a second daystream is not published onto the stream of another",
          "[nats][owners]") {
  Source source(1);
  Source other(2, "den-2");
  REQUIRE(Manifest::load(source.directory.path()).id != Manifest::load(other.directory.path()).id);
  Broker broker;
  REQUIRE(publish(source, broker).ok());
  for (const auto& refused : {publish(other, broker), publish(other, broker, {"--check"})}) {
    CHECK(refused.exit.code == 3);
    CHECK((refused.err + refused.out).find("another daystream") != std::string::npos);
  }
  CHECK(cat(broker.address()).out == source.cat());
}

TEST_CASE("nats: of a stream that has no more than a manifest, it is known whose it is",
          "[nats][owners]") {
  WrittenStream empty;
  { Writer writer = empty.writer(); }
  Source other(1, "den-2");
  Broker broker;
  REQUIRE(publish_at(empty.directory.path().string(), broker).ok());
  const auto refused = publish(other, broker);
  CHECK(refused.exit.code == 3);
  CHECK(refused.err.find("another daystream") != std::string::npos);
}

TEST_CASE("nats: a stream by whose limits the broker deletes is refused", "[nats][owners]") {
  Source source(1);
  Broker broker;
  const auto make = [&](const nlohmann::json& more) {
    auto link = link_to(broker.address());
    link.api("STREAM.DELETE.prod", nullptr);
    nlohmann::json config = {{"name", "prod"}, {"subjects", {"ds.prod.>"}}};
    config.update(more);
    REQUIRE(link.api("STREAM.CREATE.prod", config));
  };
  for (const nlohmann::json& limit :
       {nlohmann::json{{"max_age", 3'600'000'000'000}}, nlohmann::json{{"max_bytes", 1'000'000}},
        nlohmann::json{{"max_msgs", 10}}, nlohmann::json{{"max_msgs_per_subject", 10}},
        nlohmann::json{{"retention", "interest"}}, nlohmann::json{{"retention", "workqueue"}},
        nlohmann::json{{"subjects", {"ds.prod.>", "other"}}}}) {
    CAPTURE(limit);
    make(limit);
    for (const auto& refused : {publish(source, broker), publish(source, broker, {"--check"})}) {
      CHECK(refused.exit.code == 3);
      CHECK((refused.err + refused.out).find("stream \"prod\"") != std::string::npos);
    }
  }
  // One that takes no more when it is full loses nothing.
  make({{"max_bytes", 100'000'000}, {"discard", "new"}});
  CHECK(publish(source, broker).ok());
  CHECK(cat(broker.address()).out == source.cat());
}

TEST_CASE("nats: what was made again for another daystream is not read on", "[nats][owners]") {
  Source source(1);
  Source other(1, "den-2");
  Broker broker;
  REQUIRE(publish(source, broker).ok());
  auto follower = daystream_process({"tail", broker.address(), "-n", "1000", "--follow"});
  REQUIRE(eventually([&] { return follower.out() == source.tail(); }));
  link_to(broker.address()).api("STREAM.DELETE.prod", nullptr);
  REQUIRE(publish(other, broker).ok());
  CHECK(follower.wait().code == 3);
  CHECK(follower.err().find("another daystream") != std::string::npos);
  CHECK(follower.out() == source.tail());
}
