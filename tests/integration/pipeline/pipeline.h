// The whole pipeline of one test: PostgreSQL, deltastream, a daystream, deltamirror and its SQLite
// file, each a real process that may be killed at any time.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "support/cluster.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace pipeline {

using support::Cluster;
using support::Process;
using support::Row;
using support::Rows;

// A server with a database "app". deltastream and deltamirror are started by the test.
class Pipeline {
 public:
  explicit Pipeline(const Cluster::Options& options = {});

  Cluster& cluster() { return cluster_; }
  std::string conninfo() const { return cluster_.conninfo(kDatabase); }
  void execute(const std::string& sql) const { cluster_.execute(sql, kDatabase); }
  std::string scalar(const std::string& sql) const { return cluster_.scalar(sql, kDatabase); }
  std::filesystem::path daystream() const { return dir_ / "daystream"; }
  std::filesystem::path mirror(const std::string& name = "mirror") const {
    return dir_ / (name + ".db");
  }
  std::filesystem::path folder() const { return dir_.path(); }

  // deltastream on the slot "app", made where it is missing. Returns once the daystream is there.
  void start_stream(const std::vector<std::string>& more = {});
  std::vector<std::string> seed_command(const std::vector<std::string>& tables,
                                        const std::string& name = "mirror") const;
  void seed(const std::vector<std::string>& tables, const std::string& name = "mirror") const;
  void start_mirror();
  Process& stream() { return *stream_; }
  Process& mirror_process() { return *mirror_process_; }

  // Throws with its words if deltastream or deltamirror has ended without being asked to.
  void expect_running();

  // Waits until the mirror holds everything that is committed now.
  void wait_until_caught_up(const std::string& name = "mirror");

  static constexpr const char* kDatabase = "app";

 private:
  support::TempDir dir_;
  Cluster cluster_;
  std::optional<Process> stream_;
  std::optional<Process> mirror_process_;
};

// pgbench's four tables, at scale 1, with the primary key on history that a mirror needs.
void create_pgbench_tables(Pipeline&);
inline const std::vector<std::string> kPgbenchTables = {"pgbench_accounts", "pgbench_branches",
                                                        "pgbench_tellers", "pgbench_history"};
// TPC-B, two clients, as fast as it goes, until it is signalled or the server dies.
Process start_pgbench(const Pipeline&);

// All rows of a table by its key, each value as text, booleans as 1 and 0. `sqlite_rows` reads
// like any reader: read-only, its own connection, with a busy timeout, as SQLite recovers a WAL
// or turns a file to WAL mode under a lock.
Rows postgres_rows(const Pipeline&, const std::string& table, const std::string& order_by);
Rows postgres_rows_of(const Pipeline&, const std::string& query);  // as they are
inline constexpr std::chrono::seconds kBusyTimeout{10};
Rows sqlite_rows(const std::filesystem::path& file, const std::string& table,
                 const std::string& order_by,
                 std::chrono::milliseconds busy_timeout = kBusyTimeout);

// Empty if the tables hold the same rows, else what differs first.
std::string difference(const Pipeline&, const std::string& table,
                       const std::filesystem::path& mirror);

// What the daystream's promises say about its lines. Throws where one is broken.
struct DaystreamCounts {
  std::size_t lines = 0;
  std::size_t commits = 0;
  std::size_t marks = 0;
  std::size_t aborts = 0;
};
// Reads the day files themselves, with nothing of libdaystream: positions strictly increase, all
// lines of a transaction carry one second, each commit LSN is there once and they increase.
DaystreamCounts check_daystream(const std::filesystem::path& dir);

}  // namespace pipeline
