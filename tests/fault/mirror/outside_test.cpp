// What comes from outside and passes, `run` waits for: it says so, and goes on by itself.
#include <sqlite3.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>
#include <memory>
#include <optional>
#include <stdexcept>

#include "common/streaming.h"
#include "support/cluster.h"
#include "support/fault_preload.h"
#include "support/process.h"
#include "support/sqlite_reader.h"
#include "support/temp_dir.h"

using namespace fault;
using support::FaultPreload;
using Strings = std::vector<std::string>;

namespace {

// Another program that writes to the mirror's file, or means to.
class ForeignLock {
 public:
  explicit ForeignLock(const std::filesystem::path& mirror) {
    sqlite3* db = nullptr;
    const int code = sqlite3_open_v2(mirror.c_str(), &db, SQLITE_OPEN_READWRITE, nullptr);
    db_.reset(db);
    if (code != SQLITE_OK) throw std::runtime_error("cannot open the mirror");
    sqlite3_busy_timeout(db, 60'000);
    run("BEGIN IMMEDIATE");
  }
  void release() { run("ROLLBACK"); }

 private:
  void run(const char* sql) {
    if (sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr) == SQLITE_OK) return;
    throw std::runtime_error(sqlite3_errmsg(db_.get()));
  }
  struct Close {
    void operator()(sqlite3* db) const noexcept { sqlite3_close_v2(db); }
  };
  std::unique_ptr<sqlite3, Close> db_;
};

struct Mirrored {
  Mirrored() {
    cluster.execute("CREATE TABLE t(id int PRIMARY KEY, v text)");
    stream.emplace(Strings{support::program("deltastream"), "-d", cluster.conninfo(), "-S", "m",
                           "-D", dir / "stream", "--create-slot"});
    wait_until_streaming(dir / "stream", *stream);
    std::filesystem::create_directory(dir / "m");
    support::run_ok({support::program("deltamirror"), "seed", mirror(), "-d", cluster.conninfo(),
                     "--daystream", dir / "stream", "--table", "t"});
  }
  std::filesystem::path mirror() const { return dir / "m" / "mirror.db"; }
  void start(const FaultPreload* faults = nullptr) {
    owner.emplace(
        Strings{support::program("deltamirror"), "run", mirror(), "--daystream", dir / "stream"},
        support::Process::Options{
            .env = faults == nullptr ? decltype(support::Process::Options::env){} : faults->env()});
  }
  void insert() { cluster.execute("INSERT INTO t VALUES (" + std::to_string(++rows) + ", 'v')"); }
  bool says(const std::string& text) {
    return support::eventually(
        [&] { return owner->err().find(text) != std::string::npos || !owner->running(); });
  }
  // It comes to what PostgreSQL has, by itself.
  void check_level() {
    const bool level = support::eventually([&] {
      if (!owner->running()) return true;
      support::SqliteReader reader(mirror());
      return reader.scalar("SELECT count(*) FROM t") == std::to_string(rows);
    });
    INFO(owner->err());
    CHECK(level);
    CHECK(owner->running());
  }
  void stop() {
    owner->signal(SIGTERM);
    CHECK(owner->wait() == support::Exit{0, 0});
  }

  support::Cluster cluster;
  const support::TempDir dir;
  std::optional<support::Process> stream;
  std::optional<support::Process> owner;
  int rows = 0;
};

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

}  // namespace

TEST_CASE("outside: run waits for a lock that somebody else holds, at its start and later",
          "[fault][deltamirror][outside]") {
  Mirrored m;
  {
    ForeignLock lock(m.mirror());
    m.start();
    CHECK(m.says("database is locked"));
    lock.release();
  }
  m.insert();
  m.check_level();
  ForeignLock lock(m.mirror());
  m.insert();
  CHECK(support::eventually(
      [&] { return count(m.owner->err(), "database is locked") == 2 || !m.owner->running(); }));
  lock.release();
  m.check_level();
  INFO(m.owner->err());
  CHECK(count(m.owner->err(), "database is locked") == 2);  // each time once
  m.stop();
}

TEST_CASE("outside: run waits while the mirror's disk is full", "[fault][deltamirror][outside]") {
  Mirrored m;
  // At its start, and while it follows.
  for (const std::uint64_t at : {1, 30}) {
    CAPTURE(at);
    FaultPreload faults({.calls = {"pwrite", "write", "ftruncate"},
                         .path_prefix = (m.dir / "m").string() + "/",
                         .at = at,
                         .sticky = true,
                         .error = ENOSPC});
    m.start(&faults);
    CHECK(support::eventually([&] {
      m.insert();
      return faults.struck() > 0 || !m.owner->running();
    }));
    CHECK(m.says("trying again"));
    faults.heal();
    m.check_level();
    m.stop();
  }
}

TEST_CASE("outside: without inotify run looks once a second, and is woken again once there is some",
          "[fault][deltamirror][outside]") {
  Mirrored m;
  const std::vector<std::pair<std::string, int>> calls = {{"inotify_init1", EMFILE},
                                                          {"inotify_add_watch", ENOSPC}};
  for (const auto& [call, error] : calls) {
    CAPTURE(call);
    FaultPreload faults({.calls = {call},
                         .path_prefix = (m.dir / "stream").string(),
                         .at = 1,
                         .sticky = true,
                         .error = error});
    m.start(&faults);
    for (int i = 0; i < 2; ++i) {
      m.insert();
      m.check_level();
    }
    CHECK(faults.struck() > 0);
    faults.heal();
    m.insert();
    m.check_level();
    m.stop();
  }
}
