// Are commits on the server waiting for us? (synchronous_standby_names)
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/replication_connection.h"

namespace deltastream {

// The setting taken apart, as PostgreSQL's manual gives its forms:
//   [FIRST] n (a, b)  ·  ANY n (a, b)  ·  a, b
struct StandbyNames {
  int required = 0;                // how many must confirm; 0: the setting is empty
  std::vector<std::string> names;  // lower case, as they are compared; may hold "*"

  // Text PostgreSQL would not accept gives an empty setting: then no commit waits.
  static StandbyNames parse(std::string_view setting);
  bool includes(std::string_view application_name) const;
};

// Throws NeedsPerson if some commits cannot return before we confirm them, as far as one can see.
void refuse_if_required_synchronous_standby(ReplicationConnection& connection);

// True if the setting names us. The server may be reloaded later, so the answer may change.
bool is_synchronous_standby(ReplicationConnection& connection);

}  // namespace deltastream
