// What may be read of a directory at one moment: the days that are kept, up to `durable`. It finds
// the places to begin reading at.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "daystream/durable.h"
#include "daystream/error.h"
#include "daystream/reader.h"
#include "dir.h"
#include "durable_file.h"
#include "scanner.h"
#include "seek.h"

namespace daystream {

struct DayView {
  std::int64_t day;
  std::unique_ptr<File> file;
  std::uint64_t limit;  // what may be read of it
  bool packed;
  std::uint64_t stored_bytes;  // what that takes on disk
};

// A place between two groups.
struct Place {
  std::int64_t day = 0;
  ScanState state;
  Lsn lsn;  // of the last commit or mark before it
};

class StreamView {
 public:
  // Without a `durable` that can be read, `otherwise` counts; without that everything through the
  // last end line, unchecked.
  explicit StreamView(Dir& dir, const std::optional<Durable>& otherwise = {});

  bool is_settled() const noexcept { return settled_; }  // by a `durable`
  bool empty() const noexcept { return days_.empty(); }  // nothing is durable yet
  const Durable& durable() const noexcept { return durable_; }
  const std::vector<std::int64_t>& days() const noexcept { return days_; }
  DayView open(std::int64_t day) const;  // throws PositionGone: it is no longer kept
  std::optional<DayView> open_if_kept(std::int64_t day) const;

  // Where a Reader begins; nullopt: the stream is still behind `start.lsn`, or empty. Throws
  // PositionGone.
  std::optional<Place> resolve(const StartAfter& start) const;
  // The last end line there is; nullopt: none.
  std::optional<EndLine> last_end() const;
  // As Seeker::last_end_not(), over all days.
  struct Found {
    std::int64_t day;
    EndLine end;
  };
  std::optional<Found> last_end_not(const Seeker::Pleases& has_key,
                                    const Seeker::Pleases& beyond) const;

 private:
  Place beginning() const;
  std::optional<Place> at_line(Position position, Lsn lsn) const;
  std::optional<Place> after_lsn(Lsn lsn) const;
  std::optional<Place> after_position(Position position) const;
  [[noreturn]] void gone(const StartAfter& start) const;

  Dir& dir_;
  bool settled_ = true;
  Durable durable_;
  std::vector<std::int64_t> days_;  // with something durable, oldest first
};

// Everything through the last whole transaction of the last day, of which every byte is read;
// nullopt: there is none.
std::optional<Durable> whole_end(Dir& dir);

// Whether it is the day that may have been torn, which is the last: one is begun once the day
// before is on disk.
bool is_of_last_day(Dir& dir, const Corruption& damage);

// `read`, of what may be read of `dir` now. Throws TornEnd for what it finds damaged where nothing
// says that it was on disk.
template <typename Read>
auto with_view(Dir& dir, const Read& read) {
  // First, as a `durable` that comes later says nothing of what was read by then.
  const bool in_doubt = !load_durable(dir);
  try {
    return read(StreamView(dir));
  } catch (const Corruption& damage) {
    if (in_doubt && is_of_last_day(dir, damage)) throw TornEnd(damage);
    throw;
  }
}

// Commits and marks: the lines whose LSN is a place in the source's history.
bool has_source_lsn(const EndLine& line);
Place place_after(std::int64_t day, const EndLine& line, Lsn lsn);

}  // namespace daystream
