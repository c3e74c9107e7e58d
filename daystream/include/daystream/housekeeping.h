// Compresses and deletes days that are over. Beside a Writer or without one, in any process.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daystream/lsn.h"
#include "daystream/stop.h"

namespace daystream {

class Dir;

inline constexpr int kDefaultCompression = 3;  // zstd's own
inline constexpr int kMostCompression = 19;    // what decompresses with little memory anywhere

struct HousekeepingRules {
  std::optional<int> compress;              // zstd level, 1 to kMostCompression
  std::optional<std::uint64_t> keep_days;   // how many before the current one, by date; at least 1
  std::optional<std::uint64_t> keep_bytes;  // of all day files together, as they are on disk

  bool any() const noexcept { return compress || keep_days || keep_bytes; }
  bool operator==(const HousekeepingRules&) const = default;
};

// Only a day that is over is touched: one before that of `durable`, whose last commit or mark is
// confirmed to PostgreSQL. Recovery never needs one of these: it begins at `durable`, or, if that
// was lost with the power, at the last day. `durable` is synced before the first such day of a
// date is touched, so that a power loss cannot leave one that points into a day that is gone.
//
// Threads: one calls everything. Several processes may try at once: one of them does it.
class Housekeeping {
 public:
  // `dir`: instead of the directory itself, for tests.
  Housekeeping(std::filesystem::path directory, const HousekeepingRules& rules,
               std::shared_ptr<Dir> dir = nullptr);

  struct Step {
    enum class Kind { Compressed, Deleted };
    Kind kind = Kind::Deleted;
    std::string file;                // its name, before
    std::uint64_t bytes_before = 0;  // on disk
    std::uint64_t bytes_after = 0;
  };
  // Deletes or compresses one day, the oldest first. nullopt: nothing to do now, or another process
  // is at it, or `stop` was requested (asked now and then; what was begun is left as if it had
  // not been).
  //
  // `confirmed`: what was confirmed to PostgreSQL; nullopt: nobody knows, `durable` alone counts.
  // Throws IoError, Corruption: that day stays as it is and is not tried again by this object.
  std::optional<Step> step(std::optional<Lsn> confirmed, const Stop& stop);
  // The last step() did nothing because another process was at it.
  bool busy() const noexcept { return busy_; }

 private:
  struct Day;
  // Of days, the oldest first, before `current`, which is not over.
  std::optional<Step> drop_oldest(const std::vector<Day>& days, std::int64_t current,
                                  std::optional<Lsn> confirmed);
  std::optional<Step> compress_oldest(const std::vector<Day>& days, std::int64_t current,
                                      std::optional<Lsn> confirmed, const Stop& stop);
  void sync_durable(std::int64_t durable_day);
  bool is_confirmed(std::int64_t day, std::optional<Lsn> confirmed) const;

  std::filesystem::path directory_;
  HousekeepingRules rules_;
  std::shared_ptr<Dir> dir_;
  bool busy_ = false;
  std::optional<std::int64_t> synced_for_;  // the day of `durable` when it was last synced
  std::set<std::int64_t> damaged_;          // not to be tried again
};

}  // namespace daystream
