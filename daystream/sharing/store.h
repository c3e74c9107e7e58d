// What the workers of a consumer group know of each other. One host keeps it in files
// (file_store.h); another place that can create a record exactly once would do as well.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "boot_time.h"
#include "daystream/lsn.h"
#include "daystream/position.h"

namespace daystream::sharing {

enum class By { Table, Key };
const char* by_name(By by) noexcept;

// How a group shares out its stream: fixed when it is made.
struct Rule {
  By by = By::Key;
  std::uint32_t into = 0;  // how many parts
  std::string tables;      // a table list; empty: all
  Position begin = Position::begin();
  std::string system_identifier;  // of the stream

  bool operator==(const Rule&) const = default;
};

// A process that works for the group.
struct Member {
  std::string id;
  int pid = 0;
  std::string since;      // for people
  std::string boot;       // boot_id() of its host
  BootTime expires_at{};  // unless it says again before that it lives

  bool lives(BootTime now) const { return boot == boot_id() && now < expires_at; }
};

// Everything that is remembered of a part. `epoch` counts its holders, and is the fencing token: a
// record of a lower epoch never counts again.
struct PartRecord {
  std::uint64_t epoch = 0;  // 0: nobody has had it yet
  std::string holder;       // a member's id; empty: free
  std::string boot;
  BootTime expires_at{};

  Position position = Position::begin();  // all up to there is done
  std::optional<Lsn> lsn;                 // of the line there
  std::uint32_t failures = 0;  // how often what follows `position` was handed over and not done
  std::string problem;         // the last of these
  bool careful = false;        // a holder lost the part: perhaps by what follows
  std::uint64_t redeliveries = 0;
  std::uint64_t expired = 0;  // transactions that were too old to be handed over
  std::uint64_t dead = 0;     // that went to the dead letters

  bool is_held(BootTime now) const {
    return !holder.empty() && boot == boot_id() && now < expires_at;
  }
};

// Threads: any; the calls for one part of one holder must not overlap.
// Errors:  NeedsPerson where the group is not there (any more), Corruption, IoError.
class Store {
 public:
  virtual ~Store() = default;

  virtual const Rule& rule() const noexcept = 0;

  virtual bool is_paused() = 0;
  virtual void set_paused(bool paused) = 0;

  virtual std::vector<Member> members() = 0;  // also some that have expired
  virtual void beat(const Member& member) = 0;
  virtual void leave(const std::string& id) = 0;

  // The record of the highest epoch.
  virtual PartRecord part(std::uint32_t part) = 0;
  // The record of an epoch; nullopt: it is not there, or not any more. That of the epoch before the
  // highest is still there.
  virtual std::optional<PartRecord> record(std::uint32_t part, std::uint64_t epoch) = 0;
  // Creates the record `next.epoch`, one above that which was seen. False: that epoch is there
  // already, or a higher one. Once it has returned true it is on disk, and no keep() with a lower
  // epoch returns true any more.
  virtual bool take(std::uint32_t part, const PartRecord& next) = 0;
  // Replaces the record of an epoch by what its holder knows; on disk when it returns. False: a
  // higher epoch is there, and `mine` does not count. Where it was true, the next holder of the
  // part begins with `mine` or with what was kept after it.
  virtual bool keep(std::uint32_t part, const PartRecord& mine) = 0;
};

}  // namespace daystream::sharing
