// PostgreSQL, deltastream and deltamirror, all real, for the mirror's tests.
#pragma once

#include <algorithm>
#include <csignal>
#include <optional>
#include <string>
#include <vector>

#include "sqlite/sqlite.h"
#include "support/cluster.h"
#include "support/process.h"
#include "support/temp_dir.h"
#include "support/wait.h"

struct Pipeline {
  explicit Pipeline(std::vector<std::string> config = {}) : cluster({.config = std::move(config)}) {
    // Others may look at mirrors, as readers under another user id do.
    std::filesystem::permissions(dir.path(), std::filesystem::perms(0755));
  }

  support::TempDir dir;
  support::Cluster cluster;
  std::optional<support::Process> streamer;
  std::optional<support::Process> runner;

  std::string stream() const { return (dir / "stream").string(); }
  std::string mirror() const { return (dir / "mirror.db").string(); }

  // `tables`: deltastream's filter, empty: all.
  void start_stream(const std::string& tables = {}) {
    std::vector<std::string> argv = {support::program("deltastream"),
                                     "-d",
                                     cluster.conninfo(),
                                     "-S",
                                     "mirror",
                                     "-D",
                                     stream(),
                                     "--create-slot",
                                     "--if-not-exists"};
    if (!tables.empty()) argv.insert(argv.end(), {"--tables", tables});
    streamer.emplace(argv);
    if (!support::eventually([&] { return std::filesystem::exists(dir / "stream/durable"); })) {
      throw std::runtime_error("deltastream did not start: " + streamer->err());
    }
  }

  support::Result seed(std::vector<std::string> arguments) const {
    std::vector<std::string> argv = {support::program("deltamirror"), "seed", mirror(),
                                     "--daystream", stream()};
    if (std::find(arguments.begin(), arguments.end(), "-d") == arguments.end()) {
      argv.insert(argv.end(), {"-d", cluster.conninfo()});
    }
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return support::run(argv);
  }

  void start_run() {
    runner.emplace(std::vector<std::string>{support::program("deltamirror"), "run", mirror(),
                                            "--daystream", stream()});
  }
  void kill_run() {
    runner->signal(SIGKILL);
    runner->wait();
  }

  // Waits until the mirror has all that is committed by now.
  void catch_up() const {
    const std::string lsn = cluster.scalar("SELECT pg_current_wal_flush_lsn()");
    support::run_ok(
        {support::program("deltamirror"), "wait", mirror(), "--lsn", lsn, "--timeout", "60"});
  }
  // Follows to the end of what is committed by now, then stops.
  support::Result run_once(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> command = {support::program("deltamirror"),
                                        "run",
                                        mirror(),
                                        "--daystream",
                                        stream(),
                                        "--until-lsn",
                                        cluster.scalar("SELECT pg_current_wal_flush_lsn()")};
    command.insert(command.end(), more.begin(), more.end());
    return support::run(command);
  }
  // The same, ending at a table that cannot be followed.
  support::Result run_to_trouble() const { return run_once({"--on-trouble", "stop"}); }

  deltamirror::Database open() const { return {mirror(), deltamirror::Database::Mode::ReadOnly}; }
  std::string value(const std::string& sql) const { return open().value(sql).value_or("NULL"); }
  // Rows of one text each, as the query orders them.
  std::vector<std::string> rows(const std::string& sql) const {
    const deltamirror::Database db = open();
    deltamirror::Statement select = db.prepare(sql);
    std::vector<std::string> out;
    while (select.step()) out.push_back(select.is_null(0) ? "NULL" : select.text(0));
    return out;
  }
  std::vector<std::string> source_rows(const std::string& sql) const {
    std::vector<std::string> out;
    for (const support::Row& row : cluster.query(sql)) out.push_back(row.at(0).value_or("NULL"));
    return out;
  }
};
