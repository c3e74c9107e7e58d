// `nats://` as a user meets it: publish, and every command that reads.
#include <catch2/catch.hpp>
#include <csignal>
#include <nlohmann/json.hpp>

#include "broker.h"
#include "remote/nats_publisher.h"
#include "remote/stream_kinds.h"
#include "support/notify_socket.h"
#include "support/temp_dir.h"
#include "support/wait.h"

using namespace daystream;
using namespace daystream::test;
using namespace nats_test;
using support::eventually;

TEST_CASE("nats: a published daystream reads as its directory does", "[nats]") {
  Source source;
  Broker broker;
  const auto published = publish(source, broker);
  REQUIRE(published.exit.code == 0);
  const std::string address = broker.address();
  const auto all = cat(address);
  CHECK(all.err == "");
  CHECK(all.out == source.cat());
  for (std::vector<std::string> command : std::vector<std::vector<std::string>>{
           {"cat", "--after", "1507550403/1"},
           {"cat", "--lsn", "0/1050"},
           {"cat", "--since", "2017-10-10", "--until", "2017-10-11"},
           {"tail", "-n", "20"},
           {"tail", "-n", "1000"},
           {"log", "--table", "fox", "--key", "a=fox7"}}) {
    CAPTURE(command);
    command.insert(command.begin() + 1, source.path());
    auto expected = daystream_command(command);
    command[1] = address;
    auto got = daystream_command(command);
    for (std::string* text : {&expected.out, &got.out}) {
      for (std::size_t at; (at = text->find(source.path())) != std::string::npos;)
        text->replace(at, source.path().size(), address);
    }
    CHECK(got.out == expected.out);
    CHECK(got.err == "");
    CHECK(got.exit.code == 0);
    CHECK(got.out.size() > 10);
  }
  CHECK(daystream_command({"verify", address}).out.find("4 days, 133 lines") != std::string::npos);
  const auto info = nlohmann::json::parse(daystream_command({"info", address, "--json"}).out);
  const auto same = nlohmann::json::parse(daystream_command({"info", source.path(), "--json"}).out);
  CHECK(info.at("days").size() == 4);
  CHECK(info.at("durable") == same.at("durable"));
  CHECK(info.at("first") == same.at("first"));
}

TEST_CASE("nats: pull makes the same files, and follows", "[nats]") {
  Source source;
  Broker broker;
  REQUIRE(publish(source, broker).ok());
  support::ScratchDir copies;
  const auto copy = copies / "copy";
  REQUIRE(daystream_command({"pull", broker.address(), copy.string(), "--once"}).ok());
  CHECK(difference(source.directory.path(), copy) == "");
  CHECK(slurp(copy / "durable") == slurp(source.directory / "durable"));
  CHECK(slurp(copy / "daystream.json") == slurp(source.directory / "daystream.json"));

  auto publisher = daystream_process({"publish", source.path(), broker.address()});
  auto puller = daystream_process({"pull", broker.address(), copy.string()});
  for (int i = 0; i < 20; ++i) {
    source.add(1 + i, i == 10 ? 86400 : 1);
    source.flush();
    CHECK(
        eventually([&] { return slurp(copy / "durable") == slurp(source.directory / "durable"); }));
  }
  CHECK(difference(source.directory.path(), copy) == "");
  for (auto* process : {&publisher, &puller}) {
    process->signal(SIGTERM);
    CHECK(process->wait() == support::Exit{0, 0});
  }
}

TEST_CASE("nats: a transaction of many messages goes through, and lies there byte for byte",
          "[nats]") {
  Source source(1);
  source.add(60'000);
  source.flush();
  source.add(2);
  source.add(60'000);
  source.flush();
  Broker broker;
  REQUIRE(publish(source, broker).ok());
  CHECK(cat(broker.address()).out == source.cat());
  support::ScratchDir copies;
  REQUIRE(daystream_command({"pull", broker.address(), copies / "copy", "--once"}).ok());
  CHECK(difference(source.directory.path(), copies / "copy") == "");
}

TEST_CASE("nats: what is not durable is not published", "[nats]") {
  Source source(1);
  source.add(30'000);  // more than waits in memory
  source.add(30'000);
  Broker broker;
  const auto published = publish(source, broker);
  CHECK(published.err.find("ERROR") == std::string::npos);
  REQUIRE(published.ok());
  const std::string durable = source.cat();
  CHECK(cat(broker.address()).out == durable);
  source.flush();
  CHECK(source.cat() != durable);
  REQUIRE(publish(source, broker).ok());
  CHECK(cat(broker.address()).out == source.cat());
}

TEST_CASE("nats: follow shows what is committed, through a broker that is killed", "[nats]") {
  Source source(1);
  Broker broker;
  auto publisher = daystream_process({"publish", source.path(), broker.address()});
  REQUIRE(eventually([&] { return can_be_read(broker); }));
  auto follower = daystream_process({"tail", broker.address(), "-n", "1000", "--follow"});
  REQUIRE(eventually([&] { return follower.out().find("fox11") != std::string::npos; }));
  for (int i = 0; i < 3; ++i) {
    broker.restart();
    source.add(3);
    source.flush();
    const std::string row = fmt::format("fox{}\t", source.number_);
    CHECK(eventually([&] { return follower.out().find(row) != std::string::npos; }));
  }
  CHECK(follower.running());
  CHECK(publisher.running());
  CHECK(follower.out() == source.tail());
}

TEST_CASE("nats: --keep-days deletes whole days there", "[nats]") {
  Source source(5);
  Broker broker;
  REQUIRE(publish(source, broker, {"--once", "--keep-days", "2"}).ok());
  const auto info =
      nlohmann::json::parse(daystream_command({"info", broker.address(), "--json"}).out);
  CHECK(info.at("days").size() == 3);
  CHECK(source.cat().ends_with(cat(broker.address()).out));
  const auto gone = cat(broker.address(), {"--after", "1507550403/1"});
  CHECK(gone.exit.code == 3);
}

TEST_CASE("nats: what cannot be is refused with what to do", "[nats]") {
  Source source(1);
  Broker broker;
  for (const std::string address :
       {"nats://", "nats://h", "nats://h/", "nats://u:p@h/s", "nats://h/a.b", "nats://h,/s",
        "nats://h/s?nothing=1", "nats://h/s?tls=2"}) {
    CAPTURE(address);
    const auto refused = cat(address);
    CHECK(refused.exit.code == 2);
    CHECK(refused.err.find("HINT") != std::string::npos);
  }
  const auto none = cat(broker.address("other"));
  CHECK(none.exit.code == 3);
  CHECK(none.err.find("publish") != std::string::npos);
}

TEST_CASE("nats: the service's example is understood, and says when it runs", "[nats]") {
  Source source(1);
  Broker broker;
  const support::TempDir folder;
  support::NotifySocket systemd(folder / "notify");
  support::Process process({support::program("daystream"), "publish", "--config",
                            SOURCE_ROOT "/packaging/examples/daystream-publish-example.json",
                            "--dir", source.path(), "--stream", broker.address()},
                           {.env = {{"NOTIFY_SOCKET", systemd.path().string()}}});
  const bool ready = eventually([&] { return systemd.count("READY=1") > 0 || !process.running(); });
  INFO(process.err());
  CHECK(ready);
  CHECK(process.running());
  CHECK(eventually([&] { return cat(broker.address()).out == source.cat(); }));
  process.signal(SIGTERM);
  CHECK(process.wait() == support::Exit{0, 0});
}

TEST_CASE("nats: publish pats systemd's watchdog, with and without a broker", "[nats]") {
  Source source(1);
  Broker broker;
  const support::TempDir folder;
  support::NotifySocket systemd(folder / "notify");
  support::Process process(
      {support::program("daystream"), "publish", source.path(), broker.address()},
      {.env = {{"NOTIFY_SOCKET", systemd.path().string()}, {"WATCHDOG_USEC", "2000000"}}});
  auto pats = [&systemd, seen = std::ptrdiff_t{0}]() mutable {
    seen = systemd.count("WATCHDOG=1");
    return eventually([&] { return systemd.count("WATCHDOG=1") >= seen + 3; });
  };
  REQUIRE(eventually([&] { return systemd.count("READY=1") > 0; }));
  CHECK(systemd.count("STATUS=publishing to " + broker.address()) == 1);
  CHECK(pats());
  broker.kill();
  CHECK(eventually([&] {
    const auto& all = systemd.messages();
    return std::any_of(all.begin(), all.end(), [](const std::string& message) {
      return message.starts_with("STATUS=waiting: nats://");
    });
  }));
  CHECK(pats());
  process.signal(SIGTERM);
  CHECK(process.wait() == support::Exit{0, 0});
  CHECK(systemd.count("STOPPING=1") == 1);
}

TEST_CASE("nats: a publisher that reads through a large day hears that it is to stop", "[nats]") {
  Source source(1);
  for (int i = 0; i < 40; ++i) source.add(2000);
  source.flush();
  Broker broker;
  REQUIRE(publish(source, broker).ok());
  // One that begins again compares all of the day; asked once is enough there.
  int asked = 0;
  const daystream::Stop stop([&asked] { return ++asked > 3; });
  const auto address = daystream::remote::NatsAddress::parse({}, broker.address());
  daystream::remote::NatsPublisher publisher(
      daystream::remote::stream_kinds({}).open(source.path()), address, {.once = true});
  CHECK_THROWS_WITH(publisher.run(stop), Catch::Contains("stopped before all of "));
  CHECK(asked < 8);
}

TEST_CASE("nats: --check says what is there, and makes nothing", "[nats]") {
  Source source(1);
  Broker broker;
  const auto before = publish(source, broker, {"--check"});
  CHECK(before.exit.code == 0);
  CHECK(before.out.find("will be made") != std::string::npos);
  CHECK(cat(broker.address()).exit.code == 3);
  REQUIRE(publish(source, broker).ok());
  const auto after = publish(source, broker, {"--check"});
  CHECK(after.out.find("the stream is there, 0 ") != std::string::npos);
}
