// A mirror whose tables can be brought into trouble.
#pragma once

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "pipeline.h"
#include "support/cluster.h"
#include "support/process.h"
#include "support/slot.h"

namespace support {

struct Troubled : Pipeline {
  explicit Troubled(const std::string& schema, const Texts& stream_flags = {}) {
    cluster.execute(schema);
    Texts argv = {program("deltastream"), "-d", cluster.conninfo(), "-S", "mirror", "-D", stream(),
                  "--create-slot"};
    argv.insert(argv.end(), stream_flags.begin(), stream_flags.end());
    streamer.emplace(argv);
    REQUIRE(eventually([&] { return std::filesystem::exists(dir / "stream/durable"); }));
  }
  void seed_tables(const Texts& tables) {
    Texts flags;
    for (const std::string& table : tables) flags.insert(flags.end(), {"--table", table});
    const Result seeded = seed(flags);
    INFO(seeded.err);
    REQUIRE(seeded.ok());
  }
  // `connected`: it can copy.
  void start(bool connected, const Texts& more = {}) {
    Texts argv = {program("deltamirror"), "run", mirror(), "--daystream", stream()};
    if (connected) argv.insert(argv.end(), {"-d", cluster.conninfo()});
    argv.insert(argv.end(), more.begin(), more.end());
    runner.emplace(argv);
  }
  void end() {
    runner->signal(SIGTERM);
    INFO(runner->err());
    CHECK(runner->wait() == Exit{0, 0});
  }
  void lose_slot() {
    streamer->signal(SIGTERM);
    streamer->wait();
    drop_slot(cluster, "mirror");
  }
  std::string state(const std::string& table) const {
    return value("SELECT state FROM _deltamirror_tables WHERE name = '" + table + "'");
  }
  bool is_there(const std::string& table) const {
    return value("SELECT count(*) FROM sqlite_schema WHERE name = '" + table + "'") == "1";
  }
  // Soon all rows are PostgreSQL's, of tables whose rows read alike as text.
  void check_equal(const std::string& table, const std::string& columns) const {
    // In one transaction, as the table may go between two.
    const auto here = [&]() -> Texts {
      deltamirror::Database db = open();
      db.exec("BEGIN");
      if (db.value("SELECT count(*) FROM sqlite_schema WHERE name = '" + table + "'") != "1") {
        return {"not there"};
      }
      Texts out;
      deltamirror::Statement select =
          db.prepare("SELECT " + columns + " FROM " + table + " ORDER BY 1");
      while (select.step()) out.push_back(select.is_null(0) ? "NULL" : select.text(0));
      return out;
    };
    const auto there = [&] {
      return source_rows("SELECT " + columns + " FROM " + table + " ORDER BY 1");
    };
    INFO(runner->err());
    CHECK(eventually([&] { return here() == there(); }));
    CHECK(here() == there());
  }
};

}  // namespace support
