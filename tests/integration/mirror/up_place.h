// A PostgreSQL with tables, and a mirror that `up` makes of it.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "pipeline.h"

struct Up : Pipeline {
  Up() {
    cluster.execute(
        "CREATE TABLE a(id int PRIMARY KEY, v text); INSERT INTO a VALUES(1, 'x');"
        "CREATE TABLE b(id int PRIMARY KEY); INSERT INTO b VALUES(1), (2);"
        "CREATE TABLE keyless(v int)");
  }
  support::Texts up(const std::string& file, const support::Texts& more) const {
    support::Texts argv = {support::program("deltamirror"), "up", file};
    if (std::find(more.begin(), more.end(), "-d") == more.end()) {
      argv.insert(argv.end(), {"-d", cluster.conninfo()});
    }
    argv.insert(argv.end(), more.begin(), more.end());
    return argv;
  }
  support::Texts down(const support::Texts& more = {"--yes"}) const {
    support::Texts argv = {support::program("deltamirror"), "down", mirror(), "-d",
                           cluster.conninfo()};
    argv.insert(argv.end(), more.begin(), more.end());
    return argv;
  }
  support::Texts slots() const {
    return source_rows("SELECT slot_name FROM pg_replication_slots ORDER BY 1");
  }
  bool nothing_is_left(const std::string& file) const {
    for (const char* suffix : {"", "-wal", "-shm", ".daystream", ".seeding", ".lock", ".up.json"}) {
      if (std::filesystem::exists(file + suffix)) return false;
    }
    return slots().empty();
  }
  // Starts it, waits until it follows, and ends it.
  void up_and_stop(const support::Texts& more) {
    support::Process process(up(mirror(), more));
    REQUIRE(support::eventually(
        [&] { return std::filesystem::exists(mirror() + ".sock") || !process.running(); }));
    INFO(process.err());
    REQUIRE(process.running());
    catch_up();
    process.signal(SIGTERM);
    CHECK(process.wait() == support::Exit{0, 0});
    CHECK_THAT(process.err(), Catch::Contains("stays, and PostgreSQL keeps its log for it"));
    CHECK_THAT(process.err(), Catch::Contains("deltamirror down " + mirror()));
  }
};
