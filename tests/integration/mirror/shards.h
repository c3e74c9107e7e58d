// Several databases with tables of the same names, their daystreams, and one mirror of them all.
#pragma once

#include <algorithm>
#include <csignal>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "sqlite/sqlite.h"
#include "support/cluster.h"
#include "support/process.h"
#include "support/temp_dir.h"
#include "support/wait.h"

struct Shards {
  using Texts = std::vector<std::string>;

  support::TempDir dir;
  support::Cluster cluster;
  const Texts names = {"a", "b", "c"};
  std::map<std::string, support::Process> streamers;
  std::optional<support::Process> runner;

  explicit Shards(const std::string& schema) {
    for (const std::string& name : names) {
      cluster.create_database(name);
      cluster.execute(schema, name);
      start_stream(name);
    }
    for (const std::string& name : names) {
      REQUIRE(
          support::eventually([&] { return std::filesystem::exists(stream(name) + "/durable"); }));
    }
  }

  std::string mirror() const { return (dir / "mirror.db").string(); }
  std::string stream(const std::string& name) const { return (dir / ("stream_" + name)).string(); }
  std::string config() const { return (dir / "c.json").string(); }

  void start_stream(const std::string& name) {
    streamers.erase(name);
    streamers.emplace(name, support::Process({support::program("deltastream"), "-d",
                                              cluster.conninfo(name), "-S", "shard_" + name, "-D",
                                              stream(name), "--create-slot", "--if-not-exists"}));
  }
  void stop_stream(const std::string& name) {
    streamers.at(name).signal(SIGTERM);
    streamers.at(name).wait();
    streamers.erase(name);
  }

  // `more`: members of each source, by default a source column.
  void write_config(const nlohmann::json& tables,
                    const nlohmann::json& more = {{"source_column", "shard"}}) const {
    nlohmann::json root = {{"tables", tables}, {"sources", nlohmann::json::array()}};
    for (const std::string& name : names) {
      nlohmann::json source = more;
      source.update(
          {{"name", name}, {"daystream", stream(name)}, {"connection", cluster.conninfo(name)}});
      if (more.contains("prefix")) source["prefix"] = name + "_";
      root["sources"].push_back(source);
    }
    support::write_file(config(), root.dump(2));
  }

  support::Result command(const std::string& verb, const Texts& more = {}) const {
    Texts argv = {support::program("deltamirror"), verb, mirror()};
    argv.insert(argv.end(), more.begin(), more.end());
    return support::run(argv);
  }
  void seed() const {
    const support::Result seeded = command("seed", {"--config", config()});
    INFO(seeded.err);
    REQUIRE(seeded.ok());
  }
  void start_run(const Texts& more = {}) {
    Texts argv = {support::program("deltamirror"), "run", mirror(), "--config", config()};
    argv.insert(argv.end(), more.begin(), more.end());
    runner.emplace(argv);
  }
  void kill_run() {
    runner->signal(SIGKILL);
    runner->wait();
  }
  void end_run() {
    runner->signal(SIGTERM);
    INFO(runner->err());
    CHECK(runner->wait() == support::Exit{0, 0});
  }
  // Until the mirror has all that a database has committed by now.
  void catch_up(const std::string& name) const {
    const std::string lsn = cluster.scalar("SELECT pg_current_wal_flush_lsn()", name);
    const support::Result waited =
        command("wait", {"--source", name, "--lsn", lsn, "--timeout", "60"});
    INFO(name << ": " << waited.err << (runner ? runner->err() : ""));
    REQUIRE(waited.ok());
  }
  void catch_up() const {
    for (const std::string& name : names) catch_up(name);
  }

  nlohmann::json status() const { return nlohmann::json::parse(command("status", {"--json"}).out); }
  nlohmann::json status_of(const std::string& name) const {
    const nlohmann::json all = status();
    for (const nlohmann::json& source : all["sources"]) {
      if (source["source"] == name) return source;
    }
    return {};
  }

  deltamirror::Database open() const { return {mirror(), deltamirror::Database::Mode::ReadOnly}; }
  std::string value(const std::string& sql) const { return open().value(sql).value_or("NULL"); }
  // Rows of one text each, as the query orders them.
  Texts rows(const std::string& sql) const {
    const deltamirror::Database db = open();
    deltamirror::Statement select = db.prepare(sql);
    Texts out;
    while (select.step()) out.push_back(select.is_null(0) ? "NULL" : select.text(0));
    return out;
  }
  Texts source_rows(const std::string& sql, const std::string& name) const {
    Texts out;
    for (const support::Row& row : cluster.query(sql, name))
      out.push_back(row.at(0).value_or("NULL"));
    return out;
  }
  // The rows of `sql`, one text each, of all databases, sorted; `$` stands for the name of each.
  Texts union_of(const std::string& sql) const {
    Texts out;
    for (const std::string& name : names) {
      std::string own = sql;
      for (std::size_t at; (at = own.find('$')) != std::string::npos;) own.replace(at, 1, name);
      const Texts rows = source_rows(own, name);
      out.insert(out.end(), rows.begin(), rows.end());
    }
    std::sort(out.begin(), out.end());
    return out;
  }
};
