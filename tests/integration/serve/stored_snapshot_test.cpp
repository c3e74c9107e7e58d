// Snapshots of a mirror in object storage: put there, kept, and taken from there.
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "../archive/object_store.h"
#include "../pipeline/pipeline.h"
#include "server_process.h"

using namespace pipeline;
using archive_test::ObjectStore;

namespace {

struct Stored : Pipeline {
  Stored() {
    execute("CREATE TABLE fox (id bigserial PRIMARY KEY, name text)");
    start_stream();
    add();
    seed({"fox"});
  }
  void add() {
    execute(
        "INSERT INTO fox (name) SELECT repeat('fox ' || g, 1000) FROM generate_series(1, 4000) g");
  }
  static support::Result deltamirror(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), support::program("deltamirror"));
    return support::run(arguments);
  }
  support::Result put(const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"snapshot", mirror(), store.address()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return deltamirror(arguments);
  }
  // What put() says, s3://b/prod/NAME, as the file that it is.
  std::filesystem::path object(const std::string& said) const {
    return store.object("prod/" +
                        said.substr(said.rfind('/') + 1, said.size() - said.rfind('/') - 2));
  }
  std::size_t files_beside(const std::filesystem::path& of) const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(of.parent_path())) {
      count += entry.path().filename().string().starts_with(of.filename().string()) ? 1 : 0;
    }
    return count;
  }
  ObjectStore store;
};

}  // namespace

TEST_CASE("stored snapshots: one is put there in parts, and a mirror begins as a copy of it",
          "[snapshots][s3]") {
  Stored p;
  // Larger than a part.
  REQUIRE(std::filesystem::file_size(p.mirror()) > std::size_t{20} * 1024 * 1024);
  p.store.meet("503 cut");
  const auto put = p.put();
  INFO(put.err);
  REQUIRE(put.ok());
  CHECK(put.out.starts_with("s3://b/prod/"));
  REQUIRE(std::filesystem::exists(p.object(put.out)));
  CHECK(p.files_beside(p.mirror().string() + ".s3") == 0);

  p.execute("DELETE FROM fox WHERE id % 3 = 0");
  const auto other = p.mirror("other");
  p.store.meet("503 cut half");
  const auto seeded = Stored::deltamirror({"seed", other, "--from", p.store.address()});
  INFO(seeded.err);
  REQUIRE(seeded.ok());
  const auto caught_up =
      Stored::deltamirror({"run", other, "--daystream", p.daystream(), "--once"});
  INFO(caught_up.err);
  CHECK(caught_up.ok());
  CHECK(difference(p, "fox", other).empty());
}

TEST_CASE("stored snapshots: of several the newest is taken, and old ones go", "[snapshots][s3]") {
  Stored p;
  const auto older = p.put();
  REQUIRE(older.ok());
  const auto copy_to = [&](const std::string& name) {
    auto to = p.store.object("prod/" + name);
    for (const char* const end : {".object", ".meta"}) {
      std::filesystem::copy_file(std::filesystem::path(p.object(older.out)).replace_extension(end),
                                 std::filesystem::path(to).replace_extension(end));
    }
    return to;
  };
  const auto old = copy_to(p.mirror().stem().string() + "-20171009T101504Z.db");
  // One of another mirror, and what is no snapshot, stay.
  const auto others = copy_to("zebra-20171009T101504Z.db");
  const auto none = copy_to("zebra.db");
  p.execute("DELETE FROM fox WHERE id % 2 = 0");
  REQUIRE(Stored::deltamirror({"run", p.mirror(), "--daystream", p.daystream(), "--once"}).ok());
  const auto newer = p.put({"--keep", "1"});
  INFO(newer.err);
  REQUIRE(newer.ok());
  CHECK_FALSE(std::filesystem::exists(old));
  CHECK_FALSE(std::filesystem::exists(p.object(older.out)));
  CHECK(std::filesystem::exists(others));
  CHECK(std::filesystem::exists(none));
  const auto other = p.mirror("other");
  REQUIRE(Stored::deltamirror({"seed", other, "--from", p.store.address()}).ok());
  CHECK(difference(p, "fox", other).empty());
}

TEST_CASE("stored snapshots: a mirror as it was comes from the one that is old enough",
          "[snapshots][s3][restore]") {
  Stored p;
  const auto folder = p.folder() / "snapshots";
  std::filesystem::create_directory(folder);
  const auto rows = [&](const std::filesystem::path& mirror) {
    return support::run_ok({"sqlite3", "-readonly", mirror, "SELECT count(*), max(id) FROM fox"});
  };
  // Every second commit has a snapshot behind it, in both places.
  std::vector<std::string> lsns;
  std::vector<std::string> times;
  std::vector<std::string> held;
  constexpr int kCommits = 8;
  for (int i = 0; i < kCommits; ++i) {
    p.execute("DELETE FROM fox WHERE id % 10 = " + std::to_string(i));
    REQUIRE(Stored::deltamirror({"run", p.mirror(), "--daystream", p.daystream(), "--once"}).ok());
    const auto of_commit = [&](const std::string& column) {
      return support::run_ok({"sqlite3", "-readonly", p.mirror(),
                              "SELECT " + column + " FROM _deltamirror_checkpoint"});
    };
    lsns.push_back(of_commit("lsn"));
    times.push_back(of_commit("commit_time"));
    held.push_back(rows(p.mirror()));
    if (i % 2 == 1) continue;
    REQUIRE(p.put().ok());
    REQUIRE(Stored::deltamirror({"snapshot", p.mirror(), folder}).ok());
    std::this_thread::sleep_for(std::chrono::milliseconds(1100));  // names have whole seconds
  }
  const serve_test::ServerProcess server({"app=" + p.daystream().string()},
                                         {"--snapshots", folder});
  const auto was = p.mirror("was");
  const auto restored = [&](const std::string& from, const std::string& to) {
    return Stored::deltamirror(
        {"restore", was, "--snapshot", from, "--daystream", p.daystream(), "--to", to});
  };
  const auto trimmed = [](const std::string& text) { return text.substr(0, text.find('\n')); };
  for (const std::string& from : {p.store.address(), server.url("/app")}) {
    for (int i = 0; i < kCommits; ++i) {
      // The last time is only known to be the last once a later one has come.
      for (const std::string& to : {lsns[i], i + 1 < kCommits ? times[i] : "latest"}) {
        const auto result = restored(from, trimmed(to));
        INFO(from << " " << to << result.err);
        REQUIRE(result.ok());
        CHECK(rows(was) == held[i]);
        CHECK(p.files_beside(was) == 4);  // with its log and its lock, and nothing else
        for (const char* const end : {"", "-wal", "-shm", ".lock"}) {
          std::filesystem::remove(was.string() + end);
        }
      }
    }
    const auto early = restored(from, "0/1");
    CHECK(early.exit.code == 3);
    CHECK(early.err.find("each snapshot") != std::string::npos);
    CHECK(p.files_beside(was) == 0);
  }
  const auto nowhere = restored("nats://h/s", "latest");
  CHECK(nowhere.exit.code == 2);
  CHECK(nowhere.err.find("HINT") != std::string::npos);
}

TEST_CASE("stored snapshots: what is not whole, or not there, makes no mirror", "[snapshots][s3]") {
  Stored p;
  const auto other = p.mirror("other");
  const auto none = Stored::deltamirror({"seed", other, "--from", p.store.address()});
  CHECK(none.exit.code == 3);
  CHECK(none.err.find("there is no snapshot") != std::string::npos);
  const auto put = p.put();
  REQUIRE(put.ok());
  {
    const auto middle =
        static_cast<std::streamoff>(std::filesystem::file_size(p.object(put.out)) / 2);
    std::fstream file(p.object(put.out), std::ios::in | std::ios::out | std::ios::binary);
    const char old = static_cast<char>(file.seekg(middle).get());
    file.seekp(middle).put(static_cast<char>(old ^ 1));
  }
  const auto damaged = Stored::deltamirror({"seed", other, "--from", p.store.address()});
  CHECK(damaged.exit.code != 0);
  CHECK(damaged.err.find("another SHA-256") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(other));
  CHECK(Stored::deltamirror({"seed", other, "--from", "nats://h/s"}).exit.code != 0);
}
