// Filters that name nothing: most often a slip, which nobody would see in a stream that is silent.
#pragma once

#include <string>
#include <vector>

#include "config/stream_config.h"
#include "server/replication_connection.h"

namespace deltastream {

// The patterns of the filters `tables`, `exclude-tables` and `exclude-columns` that match no table
// or column of the database as it is now, each as `tables: flihgts`. A list that cannot be parsed
// is passed over: the plugin refuses it, and says why.
std::vector<std::string> unused_patterns(ReplicationConnection& connection, const Config& config);

}  // namespace deltastream
