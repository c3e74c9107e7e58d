// A mirror is a file, whatever it is called.
#include <catch2/catch.hpp>
#include <csignal>

#include "pipeline.h"

using namespace support;
namespace fs = std::filesystem;

namespace {

struct Followed : Pipeline {
  Followed() {
    cluster.execute("CREATE TABLE t(v int); ALTER TABLE t REPLICA IDENTITY FULL");
    cluster.execute("CREATE TABLE u(id int PRIMARY KEY)");
    start_stream();
    const Result seeded = seed({"--table", "u"});
    INFO(seeded.err);
    REQUIRE(seeded.ok());
  }
  Result run_as(const std::string& name) const {
    return run({program("deltamirror"), "run", name, "--daystream", stream(), "--once"});
  }
  bool listens() const { return fs::exists(mirror() + ".sock"); }
};

}  // namespace

TEST_CASE("mirror: whatever it is called, it has one owner", "[mirror][integration][identity]") {
  Followed mirror;
  const std::string folder = (mirror.dir / "elsewhere").string();
  fs::create_directory(folder);
  const std::string link = folder + "/link.db";
  const std::string hard = folder + "/hard.db";
  fs::create_symlink("../mirror.db", link);
  fs::create_hard_link(mirror.mirror(), hard);
  fs::create_directory_symlink(mirror.dir.path(), folder + "/folder");

  SECTION("the owner goes by the file's own name") {
    mirror.start_run();
    REQUIRE(eventually([&] { return mirror.listens(); }));
    const std::string pid = std::to_string(mirror.runner->pid());
    for (const std::string& name : {link, hard, folder + "/folder/mirror.db"}) {
      CAPTURE(name);
      const Result second = mirror.run_as(name);
      CHECK(second.exit == Exit{1, 0});
      CHECK_THAT(second.err, Catch::Contains("mirror \"" + name + "\" is in use by"));
      CHECK_THAT(second.err, Catch::Contains(pid));
      CHECK_THAT(second.err, Catch::Contains("\"" + mirror.mirror() + "\""));
      const Result status = run({program("deltamirror"), "status", name, "--json"});
      CHECK_THAT(status.out, Catch::Contains("\"pid\": " + pid));
    }
    // What asks the owner finds it by a symbolic link too.
    const Result removed = run({program("deltamirror"), "remove", link, "--table", "u"});
    INFO(removed.err);
    CHECK(removed.ok());
    CHECK(mirror.runner->running());
  }
  SECTION("the owner goes by a symbolic link") {
    mirror.runner.emplace(std::vector<std::string>{program("deltamirror"), "run", link,
                                                   "--daystream", mirror.stream()});
    REQUIRE(eventually([&] { return mirror.listens(); }));
    const Result second = mirror.run_as(mirror.mirror());
    CHECK(second.exit == Exit{1, 0});
    CHECK_THAT(second.err, Catch::Contains("as \"" + link + "\""));
    CHECK_THAT(second.err, Catch::Contains("(pid " + std::to_string(mirror.runner->pid())));
  }
  mirror.runner->signal(SIGTERM);
  CHECK(mirror.runner->wait() == Exit{0, 0});
}

TEST_CASE("mirror: who may not open its lock file is not told that nobody runs it",
          "[mirror][integration][identity]") {
  if (geteuid() != 0) return;  // another user takes root
  Pipeline mirror;
  mirror.cluster.execute("CREATE TABLE t(id int PRIMARY KEY)");
  mirror.start_stream();
  REQUIRE(mirror.seed({"--table", "t"}).ok());
  mirror.start_run();
  const std::string lock = mirror.mirror() + ".lock";
  REQUIRE(eventually([&] { return std::filesystem::exists(lock); }));
  std::filesystem::permissions(mirror.dir.path(), std::filesystem::perms(0755));
  std::filesystem::permissions(lock, std::filesystem::perms(0600));
  std::filesystem::permissions(mirror.mirror(), std::filesystem::perms(0644));
  for (const char* const suffix : {"-wal", "-shm"}) {
    if (!std::filesystem::exists(mirror.mirror() + suffix)) continue;
    std::filesystem::permissions(mirror.mirror() + suffix, std::filesystem::perms(0644));
  }
  const std::string pid = std::to_string(mirror.runner->pid());
  const User nobody = User::named("nobody");
  const Result status =
      run({program("deltamirror"), "status", mirror.mirror(), "--json"}, {.user = nobody});
  INFO(status.err);
  CHECK_THAT(status.out, Catch::Contains("\"pid\": " + pid));
  CHECK_THAT(status.out, !Catch::Contains("no process owns"));
  mirror.runner->signal(SIGKILL);
  mirror.runner->wait();
  const Result without =
      run({program("deltamirror"), "status", mirror.mirror(), "--json"}, {.user = nobody});
  CHECK_THAT(without.out, Catch::Contains("no process owns"));
}

TEST_CASE("mirror: a name that SQLite would take for something else is refused",
          "[mirror][integration][identity]") {
  const TempDir dir;
  for (const std::string& name :
       {std::string(":memory:"), std::string("file:x.db"), std::string("file:///x.db?mode=memory"),
        std::string(""), std::string("https://host/prod"), dir.path().string()}) {
    for (const char* command : {"seed", "run", "up", "status", "remove", "verify"}) {
      CAPTURE(name, command);
      const Result refused =
          run({program("deltamirror"), command, name, "--table", "t", "-d", "dbname=none"});
      CHECK(refused.exit == Exit{2, 0});
      CHECK_THAT(refused.err, Catch::Contains("a mirror is a file"));
    }
  }
}

TEST_CASE("mirror: a file that is deleted, moved or replaced under run ends it",
          "[mirror][integration][identity]") {
  Followed mirror;
  mirror.start_run();
  REQUIRE(eventually([&] { return mirror.listens(); }));
  const auto ends = [&](const std::string& how) {
    CHECK(mirror.runner->wait() == Exit{3, 0});
    CHECK_THAT(mirror.runner->err(),
               Catch::Contains("mirror \"" + mirror.mirror() + "\" was " + how));
    CHECK_THAT(mirror.runner->err(), Catch::Contains("HINT: end the process that owns a mirror"));
  };
  SECTION("deleted") {
    for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(mirror.mirror() + suffix);
    ends("deleted or moved away");
    CHECK(mirror.seed({"--table", "u"}).ok());
  }
  SECTION("moved") {
    fs::rename(mirror.mirror(), (mirror.dir / "other.db").string());
    ends("deleted or moved away");
  }
  SECTION("replaced by another mirror") {
    const std::string fresh = (mirror.dir / "fresh.db").string();
    REQUIRE(run({program("deltamirror"), "seed", fresh, "-d", mirror.cluster.conninfo(),
                 "--daystream", mirror.stream(), "--table", "u"})
                .ok());
    fs::rename(fresh, mirror.mirror());
    ends("replaced");
    for (const char* suffix : {"-wal", "-shm"}) fs::remove(mirror.mirror() + suffix);
    mirror.start_run();
    mirror.cluster.execute("INSERT INTO u VALUES(1)");
    mirror.catch_up();
    CHECK(mirror.value("SELECT count(*) FROM u") == "1");
    CHECK(mirror.value("PRAGMA integrity_check") == "ok");
  }
}

TEST_CASE("mirror: a daystream that is moved away is waited for, and gone on with",
          "[mirror][integration][identity]") {
  Followed mirror;
  mirror.start_run();
  mirror.catch_up();  // a stream that was not there at all ends it
  mirror.streamer->signal(SIGTERM);
  CHECK(mirror.streamer->wait() == Exit{0, 0});
  fs::rename(mirror.stream(), (mirror.dir / "moved").string());
  CHECK(eventually(
      [&] { return mirror.runner->err().find("was deleted or moved away") != std::string::npos; }));
  fs::rename((mirror.dir / "moved").string(), mirror.stream());
  mirror.start_stream();
  mirror.cluster.execute("INSERT INTO u VALUES(1)");
  mirror.catch_up();
  CHECK(mirror.value("SELECT count(*) FROM u") == "1");
}
