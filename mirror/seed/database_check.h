// A configuration beside the database that it is for.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "seed/shards.h"

namespace deltamirror {

// What of a configuration without problems of its own does not fit the database: tables, keys and
// columns that are not there or cannot be followed. Of named sources each in its own database,
// where it names a connection. Throws what connecting throws.
std::vector<ConfigProblem> check_with_database(const ReadConfig& read, const std::string& conninfo);

// What "config init" is asked for.
struct InitWishes {
  std::vector<std::string> tables;  // empty: all
  // Partitioned tables stand for their partitions, as deltastream --partition-root has them.
  bool partition_root = false;
  ShardWishes shards;
};

// A configuration of the database's tables that can be mirrored, or of the given ones; the others
// are named in the log, with the reason. Of a database that only leads to others (seed/shards.h) it
// is one of these. Throws ConfigError where there is none, and what connecting throws.
std::string config_for_database(const std::string& conninfo, const InitWishes& wishes);

}  // namespace deltamirror
