// Several databases with tables of the same names, their daystreams, and one mirror of them all.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
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

struct ShardsSetting {
  support::Texts names = {"a", "b", "c"};  // of the databases, and of the sources
  support::Texts stream_flags = {};
  std::string streamed = {};  // deltastream's tables, which hold() changes; empty: all
};

// How tables of one name stand in the mirror.
enum class Together { Shared, Prefixed };

struct Shards {
  using Texts = support::Texts;

  support::TempDir dir;
  support::Cluster cluster;
  const Texts names;
  Texts stream_flags;
  Together together = Together::Shared;  // as write_config() has it
  std::map<std::string, support::Process> streamers;
  std::optional<support::Process> runner;

  explicit Shards(const std::string& schema, const ShardsSetting& setting = {})
      : names(setting.names), stream_flags(setting.stream_flags) {
    if (!setting.streamed.empty()) {
      write_stream_config(setting.streamed);
      stream_flags.insert(stream_flags.end(), {"--config", stream_config()});
    }
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
    Texts argv = {support::program("deltastream"),
                  "-d",
                  cluster.conninfo(name),
                  "-S",
                  "shard_" + name,
                  "-D",
                  stream(name),
                  "--create-slot",
                  "--if-not-exists"};
    argv.insert(argv.end(), stream_flags.begin(), stream_flags.end());
    streamers.emplace(name, support::Process(argv));
  }
  std::string stream_config() const { return (dir / "stream.json").string(); }
  void write_stream_config(const std::string& tables) const {
    support::write_file(stream_config(), nlohmann::json{{"tables", tables}}.dump());
  }
  // Every stream holds these from here on.
  void hold(const std::string& tables) {
    write_stream_config(tables);
    for (auto& named : streamers) {
      support::Process& streamer = named.second;
      streamer.signal(SIGHUP);
      REQUIRE(support::eventually([&] {
        const std::string err = streamer.err();
        const std::size_t again = err.find("read again");
        return again != std::string::npos && err.find("streaming from", again) != std::string::npos;
      }));
    }
  }
  void stop_stream(const std::string& name) {
    streamers.at(name).signal(SIGTERM);
    streamers.at(name).wait();
    streamers.erase(name);
  }

  void write_config(const nlohmann::json& tables, Together how) {
    if (how == Together::Shared) return write_config(tables);
    write_config(tables, {{"prefix", "NAME_"}});
  }
  // `more`: members of each source, by default a source column.
  void write_config(const nlohmann::json& tables,
                    const nlohmann::json& more = {{"source_column", "shard"}}) {
    together = more.contains("prefix") ? Together::Prefixed : Together::Shared;
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
  // `run` cannot copy from here on.
  void leave_out_connections() const {
    nlohmann::json root = nlohmann::json::parse(support::read_file(config()));
    for (nlohmann::json& source : root["sources"]) source.erase("connection");
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
  // What `table` of a source is called here.
  std::string name_of(const std::string& source, const std::string& table) const {
    return together == Together::Prefixed ? source + "_" + table : table;
  }
  std::string state(const std::string& source, const std::string& table) const {
    return value("SELECT state FROM _deltamirror_tables WHERE source = '" + source +
                 "' AND name = '" + name_of(source, table) + "'");
  }
  // Soon the rows of all databases, or of these: of each the text that `columns` makes.
  void check_equal(const std::string& table, const std::string& columns) const {
    check_equal(table, columns, names);
  }
  void check_equal(const std::string& table, const std::string& columns,
                   const Texts& databases) const {
    const Texts expected = union_of("SELECT '$' || " + columns + " FROM " + table, databases);
    // In one transaction, as the table may go between two.
    const auto here = [&]() -> Texts {
      deltamirror::Database db = open();
      db.exec("BEGIN");
      Texts out;
      for (const std::string& source : databases) {
        const std::string name = name_of(source, table);
        if (!db.value("SELECT 1 FROM sqlite_schema WHERE name = '" + name + "'")) {
          return {"there is no " + name};
        }
        const std::string own =
            together == Together::Prefixed ? "" : " WHERE shard = '" + source + "'";
        deltamirror::Statement select =
            db.prepare("SELECT '" + source + "' || " + columns + " FROM " + name + own);
        while (select.step()) out.push_back(select.is_null(0) ? "NULL" : select.text(0));
      }
      std::sort(out.begin(), out.end());
      return out;
    };
    INFO(table << ": " << (runner ? runner->err() : ""));
    CHECK(support::eventually([&] { return here() == expected; }));
    CHECK(here() == expected);
  }
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
  // The rows of `sql`, one text each, of all databases or of these, sorted; `$` stands for the name
  // of each.
  Texts union_of(const std::string& sql) const { return union_of(sql, names); }
  Texts union_of(const std::string& sql, const Texts& databases) const {
    Texts out;
    for (const std::string& name : databases) {
      std::string own = sql;
      for (std::size_t at; (at = own.find('$')) != std::string::npos;) own.replace(at, 1, name);
      const Texts rows = source_rows(own, name);
      out.insert(out.end(), rows.begin(), rows.end());
    }
    std::sort(out.begin(), out.end());
    return out;
  }
};
