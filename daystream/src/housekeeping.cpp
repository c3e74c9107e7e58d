#include "daystream/housekeeping.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <cerrno>

#include "calendar.h"
#include "day_file.h"
#include "daystream/error.h"
#include "daystream/unique_fd.h"
#include "durable_file.h"
#include "lock.h"
#include "packing.h"
#include "stream_view.h"

namespace daystream {

namespace {

// One housekeeper at a time. The directory itself is locked, so that no file of a daystream is
// made for it; a Writer's lock is another.
std::optional<UniqueFd> lock_housekeeping(const std::filesystem::path& directory) {
  UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) throw IoError(fmt::format("could not open directory \"{}\"", directory.string()), errno);
  if (!try_lock(fd.get(), directory)) return std::nullopt;
  return fd;
}

}  // namespace

struct Housekeeping::Day {
  std::int64_t day = 0;
  bool packed = false;
  std::uint64_t stored_bytes = 0;
};

Housekeeping::Housekeeping(std::filesystem::path directory, const HousekeepingRules& rules,
                           std::shared_ptr<Dir> dir)
    : directory_(std::move(directory)),
      rules_(rules),
      dir_(dir ? std::move(dir) : std::shared_ptr<Dir>(real_dir(directory_))) {}

void Housekeeping::sync_durable(std::int64_t durable_day) {
  if (synced_for_ == durable_day) return;
  if (const auto file = dir_->open_writable(kDurableName)) file->sync();
  synced_for_ = durable_day;
}

bool Housekeeping::is_confirmed(std::int64_t day, std::optional<Lsn> confirmed) const {
  if (!confirmed) return true;
  const auto found = open_day_file(*dir_, day);
  if (!found) return false;
  const Seeker seeker(*found.file, found.file->size());
  auto end = seeker.last_end_before(seeker.whole_lines_end());
  while (end && !has_source_lsn(*end)) end = seeker.last_end_before(end->begin);
  return !end || end->lsn <= *confirmed;
}

std::optional<Housekeeping::Step> Housekeeping::step(std::optional<Lsn> confirmed,
                                                     const Stop& stop) {
  const auto lock = lock_housekeeping(directory_);
  busy_ = !lock;
  if (busy_) return std::nullopt;
  const auto durable = load_durable(*dir_);
  if (!durable || durable->position.c < 0) return std::nullopt;
  const std::int64_t current = day_number(durable->position.c);

  std::vector<Day> days;
  for (const std::int64_t day : list_days(*dir_)) {
    const auto found = open_day_file(*dir_, day);
    if (found) days.push_back({day, found.packed, found.stored_bytes});
  }
  if (auto dropped = drop_oldest(days, current, confirmed)) return dropped;
  return compress_oldest(days, current, confirmed, stop);
}

// Only from the front: what is kept has no holes.
std::optional<Housekeeping::Step> Housekeeping::drop_oldest(const std::vector<Day>& days,
                                                            std::int64_t current,
                                                            std::optional<Lsn> confirmed) {
  if (days.empty() || days.front().day >= current) return std::nullopt;
  const Day& oldest = days.front();
  std::uint64_t total = 0;
  for (const Day& day : days) total += day.stored_bytes;
  const bool too_old =
      rules_.keep_days && current - oldest.day > static_cast<std::int64_t>(*rules_.keep_days);
  const bool too_much = rules_.keep_bytes && total > *rules_.keep_bytes;
  if ((!too_old && !too_much) || !is_confirmed(oldest.day, confirmed)) return std::nullopt;
  sync_durable(current);
  dir_->remove(day_file_name(oldest.day));
  dir_->remove(packed_file_name(oldest.day));
  dir_->sync();
  return Step{Step::Kind::Deleted,
              oldest.packed ? packed_file_name(oldest.day) : day_file_name(oldest.day),
              oldest.stored_bytes, 0};
}

std::optional<Housekeeping::Step> Housekeeping::compress_oldest(const std::vector<Day>& days,
                                                                std::int64_t current,
                                                                std::optional<Lsn> confirmed,
                                                                const Stop& stop) {
  if (!rules_.compress) return std::nullopt;
  for (const Day& day : days) {
    if (day.day >= current) break;
    if (damaged_.contains(day.day)) continue;
    if (day.packed) {
      // Left by who died between the last two steps of pack_day().
      if (dir_->open(day_file_name(day.day))) dir_->remove(day_file_name(day.day));
      continue;
    }
    if (!is_confirmed(day.day, confirmed)) break;
    sync_durable(current);
    try {
      const auto packed = pack_day(*dir_, day.day, *rules_.compress, stop);
      if (!packed) return std::nullopt;
      return Step{Step::Kind::Compressed, day_file_name(day.day), packed->text_bytes,
                  packed->packed_bytes};
    } catch (const Corruption&) {
      damaged_.insert(day.day);
      throw;
    }
  }
  return std::nullopt;
}

}  // namespace daystream
