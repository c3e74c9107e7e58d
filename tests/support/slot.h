// A replication slot that its client has let go of.
#pragma once

#include <stdexcept>
#include <string>

#include "support/cluster.h"
#include "support/wait.h"

namespace support {

// A walsender may have the slot for a moment after its client has ended, and then PostgreSQL
// neither drops nor advances it. Throws where somebody keeps it.
inline void wait_until_free(const Cluster& cluster, const std::string& slot) {
  const std::string active =
      "SELECT active::text FROM pg_replication_slots WHERE slot_name = '" + slot + "'";
  if (!eventually([&] { return cluster.scalar(active) == "false"; })) {
    throw std::runtime_error("slot \"" + slot + "\" stays active");
  }
}

inline void drop_slot(const Cluster& cluster, const std::string& slot) {
  wait_until_free(cluster, slot);
  cluster.execute("SELECT pg_drop_replication_slot('" + slot + "')");
}

}  // namespace support
