// The replication slot: what the server says of it, making and dropping it.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "config/stream_config.h"
#include "daystream/error.h"
#include "daystream/lsn.h"
#include "server/replication_connection.h"

namespace daystream::program {
class Signals;
}

namespace deltastream {

struct Slot {
  std::string name;
  std::string plugin;  // empty: a physical slot
  std::string database;
  std::string wal_status;  // reserved, extended, unreserved, lost
  std::optional<int> active_pid;
  std::string active_for;  // who that is, as far as we may know
  daystream::Lsn confirmed_flush;
  bool failover = false;     // standbys that synchronize slots keep it too; PostgreSQL 17 and later
  std::string invalidation;  // why it is lost, as PostgreSQL 16 and later say

  // As the server says. It does not look whether the files are there: see can_be_read().
  bool lost() const noexcept { return wal_status == "lost"; }
};

// What --create-slot says of a slot that is there.
daystream::NeedsPerson slot_exists(const std::string& name);

// What the daystream lacks is gone: dropped, or lost with its WAL or with the server that had it.
class SlotLost : public daystream::NeedsPerson {
 public:
  explicit SlotLost(const std::string& message)
      : NeedsPerson(message,
                    "run deltastream --recreate-slot, or with --on-lost-slot replace: it writes a "
                    "gap, behind which every mirror copies its tables again; a larger "
                    "max_slot_wal_keep_size keeps more") {}
};

// nullopt: there is no such slot.
std::optional<Slot> find_slot(ReplicationConnection& connection, const std::string& name);

// Whether the server has the WAL that the slot needs: after pg_resetwal, or where somebody has
// removed files, it says that the slot is in order all the same. Reads that WAL.
bool can_be_read(ReplicationConnection& connection, const Config& config, const Slot& slot);

// Makes the slot that `config` names and waits for the transactions that are older than it, at most
// for create_timeout (then NeedsPerson names the one it waited for, and there is no slot). Returns
// its consistent point. Throws NeedsPerson if the server's commits wait for us as synchronous
// standby: one of those transactions may be such a commit, and would wait for us forever.
//
// `look`: called with the name of a snapshot of just that point, which other sessions may take on
// until it returns.
daystream::Lsn create_slot(ReplicationConnection& connection, const Config& config,
                           const daystream::program::Signals& signals,
                           const std::function<void(const std::string& snapshot)>& look = {});

// Lets standbys keep the slot, or no longer, where the server knows that (PostgreSQL 17 and later)
// and has it otherwise. After the promotion of such a standby the stream goes on without a gap. A
// slot that is in use stays as it is.
void set_failover(ReplicationConnection& connection, const Slot& slot, bool wanted);

// Drops it. Throws NeedsPerson if the slot is of another plugin, ConnectionLost if it is in use
// (with `wait`: waits until it is not, for our own session that is just ending).
void drop_slot(ReplicationConnection& connection, const Config& config, bool wait = false);

}  // namespace deltastream
