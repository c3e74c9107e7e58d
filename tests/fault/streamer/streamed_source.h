// A server and a daystream of it that is stopped: what tests of a wrong source begin with.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "support/cluster.h"
#include "support/stream_checker.h"

namespace fault {

// A table t(a int) of database "postgres", and what slot "s" of it has given daystream dir/d.
struct Source {
  // With one row, and all of it streamed.
  explicit Source(const support::Cluster::Options& options = {});

  void insert(int a) const;
  // To the end of what there is now.
  void stream() const { support::run_ok(command(cluster, end_of(cluster))); }
  static std::string end_of(const support::Cluster& cluster) {
    return cluster.scalar("SELECT pg_current_wal_flush_lsn()");
  }
  // deltastream from `from`; to `end` and no further where one is given.
  std::vector<std::string> command(const support::Cluster& from, const std::string& end = "") const;
  // deltastream from `from` is refused: exit 3, says `why`, and leaves every byte as it was.
  void check_refused(const support::Cluster& from, const std::string& why,
                     const std::string& database = "postgres") const;
  // The rows of the daystream, which must be sound, in its order.
  std::vector<std::string> streamed() const;

  support::TempDir dir;
  support::Cluster cluster;
};

// Every file with its bytes. `lock` and `status.json` only say who was there last, and how it went.
std::map<std::string, std::string> content_of(const std::filesystem::path& directory);

// Makes `copy`, which has never started, the same database as the stopped `original`, in a place of
// its own.
void copy_cold(const support::Cluster& original, const support::Cluster& copy);

// What pg_failover_slots and its like do: the state of slot "s", carried to a stopped standby.
void copy_slot(const support::Cluster& from, const support::Cluster& to);

}  // namespace fault
