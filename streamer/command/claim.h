// Whose a slot is: what deltastream says of its daystream, and asks of the plugin (plugin/claim.h).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "config/stream_config.h"
#include "server/replication_connection.h"

namespace deltastream {

// Where the daystream is, for people. Empty: that is no line that can be given.
std::string name_of(const Config& config);

// Options of the plugin that make the slot that of the daystream with `id`; none where it is empty,
// as of a directory from before there were ids.
std::vector<std::pair<std::string, std::string>> claim_options(const Config& config,
                                                               const std::string& id);

// Whether a start would be refused the slot, which nobody reads from now, as it is another
// daystream's: throws what that start would. Takes nothing. Throws other errors of the server where
// it cannot be known, as with a plugin that is older than we are.
void check_claim(ReplicationConnection& connection, const Config& config, const std::string& id);

}  // namespace deltastream
