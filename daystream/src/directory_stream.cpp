#include "directory_stream.h"

#include <algorithm>
#include <chrono>

#include "calendar.h"
#include "day_file.h"
#include "daystream/error.h"
#include "durable_file.h"
#include "manifest_file.h"
#include "place.h"
#include "stream_impl.h"
#include "stream_info.h"
#include "stream_view.h"
#include "wake.h"

namespace daystream {

namespace {

using std::chrono::steady_clock;

class LocalSource final : public ReaderSource {
 public:
  explicit LocalSource(const std::filesystem::path& directory)
      : dir_(real_dir(directory)), place_(watch_directory(directory)) {}

  std::string name() const override { return dir_->path().string(); }
  Manifest manifest() override { return load_manifest(*dir_); }

  std::optional<Place> resolve(const StartAfter& start) override {
    return with_view(*dir_, [&](const StreamView& view) { return view.resolve(start); });
  }

  std::vector<std::int64_t> days() override { return list_days(*dir_); }
  std::unique_ptr<File> open_day(std::int64_t day) override {
    return open_day_file(*dir_, day).file;
  }

  // Where there is no `durable`, what the whole lines say (FORMAT.md).
  std::optional<Limit> limit(std::int64_t, std::uint64_t) override {
    if (const auto durable = load_durable(*dir_)) {
      if (durable->position == Position::begin()) return std::nullopt;
      return Limit{*durable};
    }
    return with_view(*dir_, [](const StreamView& view) -> std::optional<Limit> {
      if (view.empty()) return std::nullopt;
      return Limit{.durable = view.durable(), .settled = view.is_settled()};
    });
  }

  bool wait(std::chrono::milliseconds timeout, int wake_fd) override {
    if (!watch_) watch_.emplace(dir_->path());
    const auto until = steady_clock::now() + timeout;
    for (;;) {
      check_place();
      const auto began = steady_clock::now();
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - began);
      const auto nap = std::clamp(left, std::chrono::milliseconds(0), PlaceWatch::kBetweenLooks);
      if (watch_->wait(nap, wake_fd)) return true;
      const bool woken = steady_clock::now() - began < nap;
      if (woken || nap >= left) return false;
    }
  }

  std::uint64_t backlog_bytes(std::int64_t from_day, std::uint64_t offset) override {
    const auto end = limit(from_day, offset);
    if (!end) return 0;
    const std::int64_t last = day_number(end->durable.position.c);
    std::uint64_t total = 0;
    for (const std::int64_t day : days()) {
      if (day < from_day || day > last) continue;
      const auto file = open_day(day);
      if (!file) continue;  // deleted just now: the next call of next() will say so
      total += day == last ? end->durable.size_bytes : file->size();
    }
    return total - std::min(total, offset);
  }

 private:
  // Where another stream is now, or none, who reads opens it again: what is there then is compared
  // with what was read before.
  void check_place() const {
    if (std::string problem = place_.problem(); !problem.empty())
      throw ConnectionLost(problem, "it goes on once the directory is back");
  }

  std::unique_ptr<Dir> dir_;
  PlaceWatch place_;
  std::optional<DurableWatch> watch_;
};

class DirectoryStream final : public Stream::Impl {
 public:
  explicit DirectoryStream(const std::filesystem::path& directory)
      : Impl(directory.string()), directory_(directory) {}

  std::string absolute_address() const override {
    return std::filesystem::absolute(directory_).string();
  }
  std::optional<std::filesystem::path> directory() const override { return directory_; }
  Manifest manifest() const override { return load_manifest(*real_dir(directory_)); }

  std::optional<Extent> extent() const override {
    const auto dir = real_dir(directory_);
    return with_view(*dir, extent_of);
  }

  std::optional<Seam> find_seam(std::uint64_t xmin) const override {
    const auto dir = real_dir(directory_);
    const auto found = with_view(*dir, [xmin](const StreamView& view) {
      return view.last_end_not(
          [](const EndLine& line) { return has_source_lsn(line) && line.next.has_value(); },
          [xmin](const EndLine& line) { return *line.next > xmin; });
    });
    if (!found) return std::nullopt;
    return Seam{found->end.position, found->end.lsn, *found->end.next};
  }

  std::optional<Position> before_last(std::uint64_t commits) const override {
    const auto dir = real_dir(directory_);
    return with_view(*dir, [commits](const StreamView& view) -> std::optional<Position> {
      std::uint64_t seen = 0;
      for (auto day = view.days().rbegin(); day != view.days().rend(); ++day) {
        const DayView open = view.open(*day);
        const Seeker seeker(*open.file, open.limit);
        for (auto end = seeker.last_end_before(open.limit); end;
             end = seeker.last_end_before(end->begin)) {
          if (end->action == Action::Commit && seen++ == commits) return end->position;
        }
      }
      return std::nullopt;
    });
  }

  StreamInfo info() const override { return info_of(directory_); }

  std::unique_ptr<ReaderSource> reader_source() const override {
    return std::make_unique<LocalSource>(directory_);
  }

 private:
  const std::filesystem::path directory_;
};

}  // namespace

std::shared_ptr<const Stream::Impl> directory_stream(const std::filesystem::path& directory) {
  return std::make_shared<DirectoryStream>(directory);
}

}  // namespace daystream
