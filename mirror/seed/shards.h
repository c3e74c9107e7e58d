// Databases that lead to others with the same tables: a PL/Proxy cluster and its partitions, a
// partitioned table and its partitions behind postgres_fdw. The others are what a mirror follows,
// each as a source, and their tables are one table in it.
//
// Errors: SqlError, ConnectionLost; ConfigError, NeedsPerson where the databases do not fit.
#pragma once

#include <libpq-fe.h>

#include <string>
#include <vector>

#include "config/config.h"

namespace deltamirror {

struct ShardWishes {
  std::string cluster;                            // of PL/Proxy; empty: the only one
  std::string daystreams = "/var/lib/daystream";  // where the daystreams will be
};

struct Shard {
  std::string name;  // as a source's
  std::string connection;
  std::vector<TableRequest> tables;
};

// The shards that the database leads to, with the tables that all of them have alike: the same
// columns and the same key. What one has otherwise, or cannot be mirrored, is left out and named in
// the log. `tables`: only these; empty: all. Returns nothing where the database leads nowhere.
std::vector<Shard> find_shards(PGconn* pg, const ShardWishes& wishes,
                               const std::vector<std::string>& tables);

// The configuration of a mirror of them.
std::string config_for_shards(const std::vector<Shard>& shards, const ShardWishes& wishes);

}  // namespace deltamirror
