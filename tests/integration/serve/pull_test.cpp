// `daystream pull`: the same files, whatever is killed when.
#include <catch2/catch.hpp>
#include <csignal>
#include <iostream>
#include <map>
#include <random>

#include "daystream/durable.h"
#include "server_process.h"
#include "stream_fixture.h"
#include "support/fault_preload.h"

using namespace daystream;
using namespace daystream::test;
using namespace serve_test;
using support::eventually;

namespace {

struct Source : WrittenStream {
  Source() : writer_(writer()) {
    writer_.mark(Lsn{0x1000}, {1, 1, {}});
    add(5);
  }
  void add(int count) {
    for (int i = 0; i < count; ++i) {
      now += ++number_ % 11 == 0 ? 86400 : 1;
      writer_.append(transaction(number_, number_ % 5));
      if (number_ % 3 == 0) writer_.flush();
    }
    writer_.flush();
  }
  const std::filesystem::path& path() const { return directory.path(); }

  Writer writer_;
  int number_ = 0;
};

std::vector<std::string> pull(const std::string& url, const std::filesystem::path& copy,
                              const std::vector<std::string>& more = {}) {
  std::vector<std::string> argv = {support::program("daystream"), "pull", url, copy};
  argv.insert(argv.end(), more.begin(), more.end());
  return argv;
}

bool same(const std::filesystem::path& source, const std::filesystem::path& copy) {
  return std::filesystem::exists(copy / "durable") && slurp_days(source) == slurp_days(copy) &&
         slurp(source / "daystream.json") == slurp(copy / "daystream.json");
}

std::string position_of(const std::filesystem::path& directory) {
  const auto durable = Durable::load(directory);
  return durable ? durable->position.text() : "none";
}

}  // namespace

TEST_CASE("pull: the same files byte for byte, and it follows", "[pull]") {
  Source source;
  support::ScratchDir place;
  const auto copy = place / "copy";
  ServerProcess server({source.path()});
  REQUIRE(support::run(pull(server.url(), copy, {"--once"})).ok());
  CHECK(same(source.path(), copy));

  Process puller(pull(server.url(), copy));
  for (int i = 0; i < 5; ++i) {
    source.add(9);
    REQUIRE(eventually([&] { return position_of(copy) == position_of(source.path()); }));
    CHECK(same(source.path(), copy));
  }
  CHECK(support::run({support::program("daystream"), "verify", copy}).ok());
  puller.signal(SIGTERM);
  CHECK(puller.wait() == support::Exit{0, 0});
}

// What a relay has proven must survive the power: PostgreSQL forgets it then.
TEST_CASE("pull: each day is on disk whole before there is another", "[pull]") {
  Source source;
  source.add(60);
  support::ScratchDir place;
  const auto copy = place / "copy";
  ServerProcess server({source.path()});
  const support::FaultPreload faults({.path_prefix = copy.string() + "/", .log_syncs = true});
  support::Process::Options options;
  options.env = faults.env();
  REQUIRE(support::run(pull(server.url(), copy, {"--once"}), options).ok());
  REQUIRE(same(source.path(), copy));
  std::map<std::string, std::uint64_t> synced;
  for (const auto& sync : faults.sync_log()) synced[sync.path] = sync.size_bytes;
  int days = 0;
  for (const auto& entry : std::filesystem::directory_iterator(copy)) {
    if (entry.path().extension() != ".tsv") continue;
    CAPTURE(entry.path());
    ++days;
    CHECK(synced[entry.path()] == std::filesystem::file_size(entry.path()));
  }
  CHECK(days > 4);
}

TEST_CASE("pull: a cascade of relays ends in the same files", "[pull]") {
  Source source;
  support::ScratchDir place;
  ServerProcess first({source.path()});
  Process middle(pull(first.url(), place / "middle"));
  REQUIRE(eventually([&] { return same(source.path(), place / "middle"); }));
  ServerProcess second({place / "middle"});
  Process last(pull(second.url(), place / "last"));
  source.add(50);
  CHECK(eventually([&] { return position_of(place / "last") == position_of(source.path()); }));
  CHECK(same(source.path(), place / "last"));
}

TEST_CASE("pull: killed at random with its server, the files are equal in the end",
          "[pull][kill]") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  Source source;
  support::ScratchDir place;
  const auto copy = place / "copy";
  std::optional<ServerProcess> server;
  server.emplace(std::vector<std::string>{source.path()});
  const int port = server->port();
  std::optional<Process> puller;
  for (int round = 0; round < 12; ++round) {
    puller.emplace(pull(server->url(), copy));
    const std::string before = position_of(copy);
    source.add(std::uniform_int_distribution<int>(1, 60)(random));
    if (round % 3 != 0) {
      REQUIRE(eventually([&] { return position_of(copy) != before; }));
    }
    if (round % 4 == 3) {
      server->process().signal(SIGKILL);
      server->process().wait();
      server.emplace(std::vector<std::string>{source.path()}, std::vector<std::string>{}, port);
    } else {
      puller->signal(SIGKILL);
      puller->wait();
    }
    source.add(3);
  }
  puller.emplace(pull(server->url(), copy));
  CHECK(eventually([&] { return position_of(copy) == position_of(source.path()); }));
  CHECK(same(source.path(), copy));
  CHECK(support::run({support::program("daystream"), "verify", copy}).ok());
}

TEST_CASE("pull: one writer a directory", "[pull]") {
  Source source;
  support::ScratchDir place;
  const auto copy = place / "copy";
  ServerProcess server({source.path()});
  Process puller(pull(server.url(), copy));
  REQUIRE(eventually([&] { return same(source.path(), copy); }));
  const auto second = support::run(pull(server.url(), copy, {"--once"}));
  CHECK(second.exit.code == 1);
  CHECK(second.err.find("is in use by daystream (pid") != std::string::npos);
}

TEST_CASE("pull: a copy's directory that is moved away is not made once more", "[pull]") {
  Source source;
  support::ScratchDir place;
  const auto copy = place / "copy";
  ServerProcess server({source.path()});
  Process puller(pull(server.url(), copy));
  REQUIRE(eventually([&] { return same(source.path(), copy); }));
  std::filesystem::rename(copy, place / "moved");
  CHECK(puller.wait() == support::Exit{3, 0});
  CHECK(puller.err().find("was deleted or moved away while it was in use") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(copy));
}

TEST_CASE("serve: a stream that is moved away is served to nobody, and others go on",
          "[serve][identity]") {
  Source source;
  Source other;
  support::ScratchDir place;
  const auto copy = place / "copy";
  const std::string moved = source.path().string() + ".moved";
  const std::string other_moved = other.path().string() + ".moved";
  ServerProcess server({"a=" + source.path().string(), "b=" + other.path().string()});
  Process puller(pull(server.url("/a"), copy));
  REQUIRE(eventually([&] { return same(source.path(), copy); }));
  std::filesystem::rename(source.path(), moved);
  CHECK(eventually([&] { return outcome_of(server.url("/a/info")) == "503 away"; }));
  CHECK(outcome_of(server.url("/b/info")) == "200");
  CHECK(puller.running());
  std::filesystem::rename(moved, source.path());
  CHECK(eventually([&] { return outcome_of(server.url("/a/info")) == "200"; }));
  source.add(3);
  CHECK(eventually([&] { return same(source.path(), copy); }));

  std::filesystem::rename(source.path(), moved);
  std::filesystem::rename(other.path(), other_moved);
  CHECK(server.process().wait() == support::Exit{3, 0});
  CHECK(server.process().err().find("deleted or moved away") != std::string::npos);
  std::filesystem::rename(moved, source.path());  // for the end of the test, which removes it
  std::filesystem::rename(other_moved, other.path());
}

TEST_CASE("pull: another stream, and what is no longer kept, need a person", "[pull]") {
  Source source;
  support::ScratchDir place;
  const auto copy = place / "copy";
  ServerProcess server({source.path()});
  REQUIRE(support::run(pull(server.url(), copy, {"--once"})).ok());
  const std::string pulled = slurp_days(copy);

  SECTION("a stream of another database") {
    WrittenStream other;
    Manifest manifest = test::source();
    manifest.database = "cats";
    Writer writer(other.directory.path(), manifest, std::nullopt, other.options());
    writer.mark(Lsn{0x1000}, {1, 1, {}});
    writer.flush();
    ServerProcess cats({"test=" + other.directory.path().string()});
    const auto result = support::run(pull(cats.url(), copy, {"--once"}));
    CHECK(result.exit.code == 3);
    CHECK(result.err.find("is of database \"foxes\", not \"cats\" as the server's") !=
          std::string::npos);
  }
  SECTION("the same stream, written on by another host") {
    WrittenStream fork;
    std::filesystem::copy(source.path(), fork.directory.path(),
                          std::filesystem::copy_options::recursive);
    {
      Writer writer(fork.directory.path(), test::source(), std::nullopt, source.options());
      source.add(1);
      writer.append(transaction(source.number_ + 1, 7));
      writer.flush();
    }
    REQUIRE(support::run(pull(server.url(), copy, {"--once"})).ok());
    ServerProcess forked({fork.directory.path()});
    const auto result = support::run(pull(forked.url(), copy, {"--once"}));
    CHECK(result.exit.code == 3);
    CHECK(result.err.find("has no CRC, not CRC") != std::string::npos);
    CHECK(same(source.path(), copy));
    return;
  }
  SECTION("the days after it were deleted") {
    source.add(40);
    std::vector<std::filesystem::path> days;
    for (const auto& entry : std::filesystem::directory_iterator(source.path())) {
      if (entry.path().extension() == ".tsv") days.push_back(entry.path());
    }
    std::sort(days.begin(), days.end());
    days.pop_back();
    for (const auto& day : days) std::filesystem::remove(day);
    const auto result = support::run(pull(server.url(), copy, {"--once"}));
    CHECK(result.exit.code == 3);
    CHECK(result.err.find("is no longer in daystream") != std::string::npos);
  }
  SECTION("bytes that were changed where it is served") {
    source.add(1);
    source.writer_.append(transaction(999, 3));
    source.writer_.flush();
    const std::string day = source.day_path(Position{source.now, 0}.day());
    std::string bytes = slurp(day);
    bytes[bytes.rfind("fox999") + 3] = '2';
    spill(day, bytes);
    const auto result = support::run(pull(server.url(), copy, {"--once"}));
    CHECK(result.exit.code == 3);
    CHECK(result.err.find("what the server sent is damaged") != std::string::npos);
    return;
  }
  CHECK(slurp_days(copy) == pulled);
}
