// A directory and its archive as one stream.
#include <catch2/catch.hpp>
#include <csignal>
#include <nlohmann/json.hpp>

#include "archived_source.h"
#include "object_store.h"
#include "remote/joined_stream.h"
#include "stream_fixture.h"
#include "support/temp_dir.h"

using namespace daystream;
using namespace daystream::test;
using namespace archive_test;
using support::eventually;

namespace {

// Days that were archived, of which the directory has only the newer ones.
struct Joined {
  Joined() {
    whole = daystream_command({"cat", source.path()}).out;
    REQUIRE(archive(source, store).ok());
    std::filesystem::copy(source.directory.path(), kept / "all");
    for (const char* const day : {"09", "10", "11"}) {
      std::filesystem::remove(source.day_path(std::string("2017-10-") + day));
    }
  }
  std::string address() const { return source.path() + "+" + store.address(); }

  Source source;
  ObjectStore store;
  support::ScratchDir kept;  // a copy with all its days, "all"
  std::string whole;         // what `cat` showed while all was in the directory
};

}  // namespace

TEST_CASE("joined: a directory and its archive read as the directory did with all its days",
          "[archive][joined]") {
  Joined joined;
  const std::string address = joined.address();
  const auto all = daystream_command({"cat", address});
  CHECK(all.err == "");
  CHECK(all.out == joined.whole);
  const auto local = daystream_command({"cat", joined.source.path()}).out;
  CHECK(local.size() < all.out.size());
  const auto after = daystream_command({"cat", address, "--after", "1507550403/1"});
  CHECK(after.exit.code == 0);
  CHECK(joined.whole.ends_with(after.out));
  CHECK(after.out.size() > local.size());
  for (std::vector<std::string> command : std::vector<std::vector<std::string>>{
           {"cat", "--lsn", "0/1050"},
           {"cat", "--since", "2017-10-10", "--until", "2017-10-13"},
           {"tail", "-n", "20"},
           {"tail", "-n", "1000"},
           {"log", "--table", "fox", "--key", "a=fox7"}}) {
    CAPTURE(command);
    command.insert(command.begin() + 1, (joined.kept / "all").string());
    const auto expected = daystream_command(command);
    command[1] = address;
    const auto got = daystream_command(command);
    CHECK(got.out == expected.out);
    CHECK(got.err == "");
    CHECK(got.out.size() > 100);
  }
  CHECK(daystream_command({"verify", address}).out.find("5 days, ") != std::string::npos);
  const auto info = nlohmann::json::parse(daystream_command({"info", address, "--json"}).out);
  CHECK(info.at("days").size() == 5);
  CHECK(info.at("days")[0].at("file") == "2017-10-09.tsv.zst");
  CHECK(info.at("days")[3].at("file") == "2017-10-12.tsv");
  CHECK(daystream_command({"compress", address}).exit.code == 2);
  CHECK(daystream_command({"cat", "http://127.0.0.1:1/x+s3://b/p"}).exit.code == 2);
}

TEST_CASE("joined: who reads what is in the directory asks nothing of the archive",
          "[archive][joined]") {
  Joined joined;
  const int before = joined.store.requests();
  const auto result = daystream_command({"cat", joined.address(), "--after", "1507809635/4"});
  CHECK(result.ok());
  CHECK(result.out.size() > 100);
  CHECK(joined.store.requests() == before);
  joined.store.kill();
  CHECK(daystream_command({"cat", joined.address(), "--after", "1507809635/4"}).out == result.out);
}

TEST_CASE("joined: a follower goes from the archive into the directory and on with it",
          "[archive][joined]") {
  Joined joined;
  support::Process follower({support::program("daystream"), "cat", joined.address(), "--follow"});
  REQUIRE(eventually([&] { return follower.out() == joined.whole; }));
  joined.source.add_days(2);
  const std::string last = lsn_of(joined.source.number_).text();
  REQUIRE(eventually([&] { return follower.out().find(last) != std::string::npos; }));
  follower.signal(SIGTERM);
  follower.wait();
  CHECK(daystream_command({"cat", joined.address()}).out == follower.out());
}

TEST_CASE("joined: a slow reader gets from the archive what went before it was read",
          "[archive][joined]") {
  Source source;
  ObjectStore store;
  const std::string whole = daystream_command({"cat", source.path()}).out;
  REQUIRE(archive(source, store).ok());
  Reader slow(remote::joined_stream(source.directory.path(), store.address()),
              {Position{kNoon + 3, 1}, std::nullopt});
  REQUIRE(slow.next() != nullptr);
  for (const char* const day : {"09", "10", "11"}) {
    std::filesystem::remove(source.day_path(std::string("2017-10-") + day));
  }
  Lsn last;
  int count = 1;
  while (Transaction* next = slow.next()) {
    if (next->kind() != Transaction::Kind::Transaction) continue;
    last = next->lsn();
    ++count;
  }
  CHECK(last == lsn_of(source.number_));
  CHECK(count > source.number_ - 5);
}

TEST_CASE("joined: an archive of another stream, or with a hole before the directory, is refused",
          "[archive][joined]") {
  Joined joined;
  Source other;
  std::string manifest = support::read_file(other.directory.path() / "daystream.json");
  manifest.replace(manifest.find("\"created\""), 0, "\"id\": \"1234\", ");
  support::write_file(other.directory.path() / "daystream.json", manifest);
  const auto refused = daystream_command({"cat", other.path() + "+" + joined.store.address()});
  CHECK(refused.exit.code == 3);
  CHECK(refused.err.find("is not the stream that archive \"s3://b/prod\" is of") !=
        std::string::npos);
  joined.source.add_days(3);
  for (const char* const day : {"12", "13", "14"}) {
    std::filesystem::remove(joined.source.day_path(std::string("2017-10-") + day));
  }
  const auto hole = daystream_command({"cat", joined.address()});
  CHECK(hole.exit.code == 3);
  CHECK(joined.whole.starts_with(hole.out));
}
