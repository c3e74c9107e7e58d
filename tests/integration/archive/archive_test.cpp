// `daystream archive`, run as a user runs it, and the archive as a stream to read.
#include <catch2/catch.hpp>
#include <csignal>
#include <nlohmann/json.hpp>

#include "archived_source.h"
#include "object_store.h"
#include "stream_fixture.h"
#include "support/notify_socket.h"
#include "support/temp_dir.h"

using namespace daystream;
using namespace daystream::test;
using namespace archive_test;
using support::eventually;

namespace {

// All of the source's closed days, as `cat` shows them.
std::string closed_text(const Source& source) {
  const std::string all = daystream_command({"cat", source.path()}).out;
  const std::string last = daystream_command({"cat", source.path(), "--since", "2017-10-13"}).out;
  REQUIRE(all.ends_with(last));
  return all.substr(0, all.size() - last.size());
}

std::size_t lines_of(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

TEST_CASE("archive: the closed days are there once, and read as in the directory", "[archive]") {
  for (const Store kind : stores()) {
    Source source;
    ObjectStore store(kind);
    const auto first = archive(source, store);
    CHECK(first.err == "");
    CHECK(first.exit.code == 0);
    CHECK(lines_of(first.out) == 4);
    CHECK(first.out.find("2017-10-09.tsv.zst  archived: ") == 0);
    CHECK(archive(source, store).out ==
          "daystream \"" + source.path() + "\": nothing to archive\n");
    CHECK(daystream_command({"cat", store.address()}).out == closed_text(source));
    const auto verified = daystream_command({"verify", store.address()});
    CHECK(verified.err == "");
    CHECK(verified.out.find("4 days, ") != std::string::npos);
    // Each question has the answer that the directory has.
    for (std::vector<std::string> command : std::vector<std::vector<std::string>>{
             {"cat", "--after", "1507550403/1", "--until", "2017-10-11"},
             {"cat", "--since", "2017-10-10", "--until", "2017-10-12"},
             {"cat", "--lsn", "0/1050", "--until", "0/1090"},
             {"log", "--table", "fox", "--key", "a=fox7"},
         }) {
      CAPTURE(command);
      command.insert(command.begin() + 1, source.path());
      const auto local = daystream_command(command);
      command[1] = store.address();
      const auto remote = daystream_command(command);
      CHECK(remote.out == local.out);
      CHECK(remote.err == local.err);
      CHECK(remote.out.size() > 10);
    }
    const auto info =
        nlohmann::json::parse(daystream_command({"info", store.address(), "--json"}).out);
    CHECK(info.at("database") == "foxes");
    CHECK(info.at("days").size() == 4);
    CHECK(info.at("days")[1].at("file") == "2017-10-10.tsv.zst");
    CHECK(info.at("writer").is_null());
    // More days, some compressed where they lie.
    REQUIRE(daystream_command({"compress", source.path()}).ok());
    source.add_days(2);
    REQUIRE(lines_of(archive(source, store, {"--json"}).out) == 2);
    CHECK(daystream_command({"verify", store.address()}).ok());
  }
}

TEST_CASE("archive: a consumer has its place there, and goes on as days come", "[archive]") {
  Source source;
  ObjectStore store;
  REQUIRE(archive(source, store).ok());
  support::ScratchDir place;
  const std::string noted = (place / "noted").string();
  const auto consume = [&](const std::string& address) {
    return daystream_command({"consume", address, "--checkpoint", (place / "at").string(),
                              "--batch", "--once", "--", "sh", "-c", "cat >> \"$1\"", "sh", noted});
  };
  REQUIRE(consume(store.address()).ok());
  const std::string first = support::read_file(noted);
  CHECK(first.find("fox43\t") != std::string::npos);
  CHECK(first.find("fox44\t") == std::string::npos);
  source.add_days(2);
  REQUIRE(archive(source, store).ok());
  REQUIRE(consume(store.address()).ok());
  const std::string second = support::read_file(noted);
  CHECK(second.starts_with(first));
  CHECK(second.find("fox44\t") != std::string::npos);
  // The same checkpoint is good in the directory.
  REQUIRE(consume(source.path()).ok());
  const std::string third = support::read_file(noted);
  CHECK(third.find("fox66\t") != std::string::npos);
  CHECK(third.starts_with(second));
}

TEST_CASE("archive: it ends in the same whatever requests meet", "[archive]") {
  Source source;
  const std::string expected = closed_text(source);
  for (const std::string fault : {"500", "503", "cut", "lost", "short", "late"}) {
    ObjectStore store;
    for (int before = 0; before < 22; before += 7) {
      CAPTURE(fault, before);
      std::string faults;
      for (int i = 0; i < before; ++i) faults += "ok ";
      store.meet(faults + fault);
      REQUIRE(archive(source, store).ok());
      store.meet(faults + fault);
      REQUIRE(daystream_command({"cat", store.address()}).out == expected);
      if (before < 21) std::filesystem::remove_all(store.object("prod/x").parent_path());
    }
  }
}

TEST_CASE("archive: killed at any request it goes on where it was", "[archive][kill]") {
  Source source;
  ObjectStore store;
  const std::string expected = closed_text(source);
  for (int before = 0; before < 22; ++before) {
    CAPTURE(before);
    std::string faults;
    for (int i = 0; i < before; ++i) faults += "ok ";
    store.meet(faults + "silent silent silent");
    support::Process process(
        {support::program("daystream"), "archive", source.path(), store.address()});
    const bool met =
        eventually([&] { return !process.running() || store.faults_left().size() < 20; });
    REQUIRE(met);
    process.signal(SIGKILL);
    process.wait();
  }
  store.meet("");
  REQUIRE(archive(source, store).ok());
  CHECK(daystream_command({"cat", store.address()}).out == expected);
  CHECK(daystream_command({"verify", store.address()}).ok());
}

TEST_CASE("archive: an object that is gone or damaged is an error that names it", "[archive]") {
  Source source;
  ObjectStore store;
  REQUIRE(archive(source, store).ok());
  const auto object = store.object("prod/2017-10-10.tsv.zst");
  const std::string whole = support::read_file(object);
  const std::string name = "s3://b/prod/2017-10-10.tsv.zst";
  std::filesystem::remove(object);
  for (const std::string command : {"cat", "verify"}) {
    const auto result = daystream_command({command, store.address()});
    CHECK(result.exit.code == 3);
    CHECK(result.err.find("\"" + name + "\"") != std::string::npos);
    CHECK(result.err.find("the object is not there") != std::string::npos);
  }
  for (std::size_t at = 0; at < whole.size(); at += 37) {
    CAPTURE(at);
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 4);
    support::write_file(object, flipped);
    const auto result = daystream_command({"verify", store.address()});
    // In the spaces at the end of an entry that nothing needs, nothing is damaged.
    if (result.exit.code != 0) {
      CHECK(result.exit.code == 3);
      CHECK(result.err.find(name) != std::string::npos);
    } else {
      CHECK(daystream_command({"cat", store.address()}).out == closed_text(source));
    }
  }
  support::write_file(object, whole.substr(0, whole.size() / 2));
  const auto half = daystream_command({"verify", store.address()});
  CHECK(half.exit.code == 3);
  CHECK(half.err.find(name) != std::string::npos);
  support::write_file(object, whole);
  CHECK(daystream_command({"verify", store.address()}).ok());
}

TEST_CASE("archive: another stream, and a fork, are refused", "[archive]") {
  Source source;
  ObjectStore store;
  REQUIRE(archive(source, store).ok());
  Source other;
  std::string manifest = support::read_file(other.directory.path() / "daystream.json");
  manifest.replace(manifest.find("\"created\""), 0, "\"id\": \"1234\", ");
  support::write_file(other.directory.path() / "daystream.json", manifest);
  const auto refused = archive(other, store);
  CHECK(refused.exit.code == 3);
  CHECK(refused.err.find("is not the stream that") != std::string::npos);
  // A copy that went its own way on the third day.
  support::ScratchDir fork;
  std::filesystem::copy(source.directory.path(), fork / "fork");
  source.add_days(1);
  REQUIRE(archive(source, store).ok());
  std::filesystem::remove(fork / "fork" / "lock");
  Source forked;
  std::filesystem::copy(fork / "fork" / "daystream.json",
                        forked.directory.path() / "daystream.json",
                        std::filesystem::copy_options::overwrite_existing);
  forked.now += 5;
  forked.add_days(3);
  const auto result = archive(forked, store);
  CHECK(result.exit.code == 3);
  CHECK(result.err.find("is a fork of the other") != std::string::npos);
}

TEST_CASE("archive: days that were deleted before they were archived are a hole, not passed over",
          "[archive]") {
  Source source;
  ObjectStore store;
  REQUIRE(archive(source, store).ok());
  source.add_days(3);
  for (const char* const day : {"09", "10", "11", "12", "13", "14"}) {
    std::filesystem::remove(source.day_path(std::string("2017-10-") + day));
  }
  const auto result = archive(source, store);
  CHECK(result.exit.code == 3);
  CHECK(result.err.find("were deleted here before they were archived") != std::string::npos);
}

TEST_CASE("archive: --follow archives each day as it closes, and outlives an outage", "[archive]") {
  Source source;
  ObjectStore store;
  const support::TempDir folder;
  support::NotifySocket systemd(folder / "notify");
  support::Process process(
      {support::program("daystream"), "archive", source.path(), store.address(), "--follow"},
      {.env = {{"NOTIFY_SOCKET", systemd.path().string()}}});
  REQUIRE(eventually([&] { return lines_of(process.out()) == 4; }));
  CHECK(eventually([&] { return systemd.count("READY=1") > 0; }));
  store.meet("503 503 cut");
  source.add_days(2);
  REQUIRE(eventually([&] { return lines_of(process.out()) == 6; }));
  process.signal(SIGTERM);
  CHECK(process.wait() == support::Exit{0, 0});
  CHECK(systemd.count("STOPPING=1") == 1);
  CHECK(daystream_command({"verify", store.address()}).ok());
}

TEST_CASE(
    "archive: --follow pats systemd's watchdog while it waits, and while storage is in trouble",
    "[archive]") {
  Source source;
  ObjectStore store;
  const support::TempDir folder;
  support::NotifySocket systemd(folder / "notify");
  support::Process process(
      {support::program("daystream"), "archive", source.path(), store.address(), "--follow"},
      {.env = {{"NOTIFY_SOCKET", systemd.path().string()}, {"WATCHDOG_USEC", "2000000"}}});
  auto pats = [&systemd, seen = std::ptrdiff_t{0}]() mutable {
    seen = systemd.count("WATCHDOG=1");
    return eventually([&] { return systemd.count("WATCHDOG=1") >= seen + 3; });
  };
  REQUIRE(eventually([&] { return systemd.count("READY=1") > 0; }));
  CHECK(pats());
  store.meet("503 503 503 503 503 silent");
  source.add_days(1);
  REQUIRE(eventually([&] { return store.faults_left() == "503 503 503 silent"; }));
  CHECK(pats());
  REQUIRE(eventually([&] { return store.faults_left().empty(); }));
  CHECK(pats());
  process.signal(SIGTERM);
  CHECK(process.wait() == support::Exit{0, 0});
}

TEST_CASE("archive: what is too old there goes, from the front, and readers hear that it went",
          "[archive]") {
  Source source;
  ObjectStore store;
  REQUIRE(archive(source, store).ok());
  const auto kept = archive(source, store, {"--keep-days", "2"});
  CHECK(kept.out.find("2017-10-09.tsv.zst  deleted there") == 0);
  CHECK(lines_of(kept.out) == 2);
  CHECK_FALSE(std::filesystem::exists(store.object("prod/2017-10-10.tsv.zst")));
  CHECK(std::filesystem::exists(store.object("prod/2017-10-11.tsv.zst")));
  const auto gone = daystream_command({"cat", store.address(), "--after", "1507550403/1"});
  CHECK(gone.exit.code == 3);
  CHECK(gone.err.find("is no longer in daystream \"s3://b/prod\"") != std::string::npos);
  CHECK(nlohmann::json::parse(daystream_command({"info", store.address(), "--json"}).out)
            .at("keep_days") == 2);
  // What who was killed has left goes with the next.
  support::write_file(store.object("prod/2017-10-09.tsv.zst"), "x");
  CHECK(archive(source, store, {"--keep-days", "2"}).ok());
  CHECK_FALSE(std::filesystem::exists(store.object("prod/2017-10-09.tsv.zst")));
  // The last one stays, and says where to go on.
  CHECK(archive(source, store, {"--keep-bytes", "1"}).ok());
  CHECK(std::filesystem::exists(store.object("prod/2017-10-12.tsv.zst")));
  source.add_days(1);
  CHECK(archive(source, store).ok());
}

TEST_CASE("archive: the service's example is understood, but for the bucket", "[archive]") {
  Source source;
  ObjectStore store;
  const auto checked =
      daystream_command({"archive", "--follow", "--config",
                         SOURCE_ROOT "/packaging/examples/daystream-archive-example.json", "--dir",
                         source.path(), "--archive", store.address(), "--check"});
  INFO(checked.err << checked.out);
  CHECK(checked.exit.code == 0);
}

TEST_CASE("archive: --check says what is missing and changes nothing", "[archive]") {
  Source source;
  ObjectStore store;
  const auto good = archive(source, store, {"--check"});
  CHECK(good.exit.code == 0);
  CHECK(good.out.find("0 days there, 4 days to come") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(store.object("prod/daystream.json")));
  const auto bad = daystream_command({"archive", source.path(), "s3://none/p", "--check"});
  CHECK(bad.exit.code == 3);
  CHECK(bad.out.find("make bucket \"none\"") != std::string::npos);
  setenv("AWS_SECRET_ACCESS_KEY", "a-secret", 1);
  const auto refused = archive(source, store);
  CHECK(refused.exit.code == 3);
  CHECK(refused.err.find("HINT: look at AWS_ACCESS_KEY_ID") != std::string::npos);
  CHECK(refused.err.find("a-secret") == std::string::npos);
  CHECK(daystream_command({"archive", source.path(), "s3://"}).exit.code == 2);
}
