// What comes from outside and passes, `run` waits for: it says so, and goes on by itself.
#include <sqlite3.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

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

// How many databases the mirror is of, and how their tables stand in it.
enum class Sources { One, ThreeShared, ThreePrefixed };

struct Mirrored {
  explicit Mirrored(Sources how) : sources(how) {
    nlohmann::json config = {{"tables", {{{"table", "t"}}}}, {"sources", nlohmann::json::array()}};
    for (const std::string& name : names()) {
      const std::string conninfo = cluster.conninfo(name);
      cluster.create_database(name);
      cluster.execute("CREATE TABLE t(id int PRIMARY KEY, v text)", name);
      support::Process& stream = streams.emplace_back(
          Strings{support::program("deltastream"), "-d", conninfo, "-S", "of_" + name, "-D",
                  dir / ("stream_" + name), "--create-slot"});
      wait_until_streaming(dir / ("stream_" + name), stream);
      nlohmann::json source = {
          {"name", name}, {"daystream", dir / ("stream_" + name)}, {"connection", conninfo}};
      if (sources == Sources::ThreeShared) source["source_column"] = "origin";
      if (sources == Sources::ThreePrefixed) source["prefix"] = name + "_";
      config["sources"].push_back(source);
    }
    support::write_file(dir / "c.json", config.dump());
    std::filesystem::create_directory(dir / "m");
    support::run_ok(
        {support::program("deltamirror"), "seed", mirror(), "--config", dir / "c.json"});
  }
  Strings names() const { return sources == Sources::One ? Strings{"a"} : Strings{"a", "b", "c"}; }
  std::filesystem::path mirror() const { return dir / "m" / "mirror.db"; }
  void start(const FaultPreload* faults = nullptr) {
    owner.emplace(Strings{support::program("deltamirror"), "run", mirror()},
                  support::Process::Options{.env = faults == nullptr
                                                       ? decltype(support::Process::Options::env){}
                                                       : faults->env()});
  }
  void insert() {
    ++rows;
    for (const std::string& name : names()) {
      cluster.execute("INSERT INTO t VALUES (" + std::to_string(rows) + ", 'v')", name);
    }
  }
  bool says(const std::string& text) {
    return support::eventually(
        [&] { return owner->err().find(text) != std::string::npos || !owner->running(); });
  }
  std::string counts() const {
    std::string out;
    support::SqliteReader reader(mirror());
    for (const std::string& name : names()) {
      const std::string table = sources == Sources::ThreePrefixed ? name + "_t" : "t";
      const std::string own =
          sources == Sources::ThreeShared ? " WHERE origin = '" + name + "'" : "";
      out += reader.scalar("SELECT count(*) FROM " + table + own) + " ";
    }
    return out;
  }
  // It comes to what PostgreSQL has, by itself.
  void check_level() {
    std::string expected;
    for (std::size_t i = 0; i < names().size(); ++i) expected += std::to_string(rows) + " ";
    const bool level =
        support::eventually([&] { return !owner->running() || counts() == expected; });
    INFO(owner->err());
    CHECK(level);
    CHECK(owner->running());
  }
  void stop() {
    owner->signal(SIGTERM);
    CHECK(owner->wait() == support::Exit{0, 0});
  }

  const Sources sources;
  support::Cluster cluster;
  const support::TempDir dir;
  std::vector<support::Process> streams;
  std::optional<support::Process> owner;
  int rows = 0;
};

Sources each_way() {
  return GENERATE(Sources::One, Sources::ThreeShared, Sources::ThreePrefixed);
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

}  // namespace

TEST_CASE("outside: run waits for a lock that somebody else holds, at its start and later",
          "[fault][deltamirror][outside]") {
  Mirrored m(each_way());
  CAPTURE(static_cast<int>(m.sources));
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
  // Once at the start, and once of each source.
  const std::size_t all = 1 + m.names().size();
  CHECK(support::eventually(
      [&] { return count(m.owner->err(), "database is locked") == all || !m.owner->running(); }));
  lock.release();
  m.check_level();
  INFO(m.owner->err());
  CHECK(count(m.owner->err(), "database is locked") == all);
  m.stop();
}

TEST_CASE("outside: run waits while the mirror's disk is full", "[fault][deltamirror][outside]") {
  Mirrored m(each_way());
  CAPTURE(static_cast<int>(m.sources));
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
  Mirrored m(each_way());
  CAPTURE(static_cast<int>(m.sources));
  const std::vector<std::pair<std::string, int>> calls = {{"inotify_init1", EMFILE},
                                                          {"inotify_add_watch", ENOSPC}};
  for (const auto& [call, error] : calls) {
    CAPTURE(call);
    FaultPreload faults({.calls = {call},
                         .path_prefix = (m.dir / "stream_").string(),
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
