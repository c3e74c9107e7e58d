#include "remote/joined_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <mutex>

#include "day_file.h"
#include "daystream/error.h"
#include "files_stream.h"
#include "lock.h"
#include "manifest_file.h"
#include "remote/archive_dir.h"
#include "remote/archive_index.h"
#include "stream_info.h"

namespace daystream::remote {

namespace {

// A directory's files, and the days that only the archive has.
class JoinedDir final : public Dir {
 public:
  JoinedDir(const std::filesystem::path& directory, const S3Address& archive)
      : Dir(directory),
        address_(archive),
        directory_(real_dir(directory)),
        archive_(std::make_unique<ArchiveDir>(archive)) {}

  std::unique_ptr<File> open(const std::string& name) override {
    if (auto file = directory_->open(name)) return file;
    const auto day = day_of_file_name(name);
    // The same day may lie here under its other name.
    if (!day || directory_->open(day_file_name(*day)) || directory_->open(packed_file_name(*day))) {
      return nullptr;
    }
    check_once();
    if (auto file = archive_->open(name)) return file;
    if (name != packed_file_name(*day)) return nullptr;  // there they are all compressed
    archive_->look_again();                              // it may have come there meanwhile
    return archive_->open(name);
  }

  std::vector<std::string> list() override {
    check_once();
    std::vector<std::string> names = archive_->list();
    // After the archive, so that a day which goes from here in between is seen there or here.
    for (std::string& name : directory_->list()) names.push_back(std::move(name));
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
  }

  void look_again() { archive_->look_again(); }

  std::unique_ptr<File> open_writable(const std::string& name) override {
    return directory_->open_writable(name);
  }
  std::unique_ptr<File> create(const std::string& name) override {
    return directory_->create(name);
  }
  void rename(const std::string& from, const std::string& to) override {
    directory_->rename(from, to);  // of the directory alone
  }
  void remove(const std::string& name) override { directory_->remove(name); }
  void sync() override { directory_->sync(); }

 private:
  // Whether the archive is of this stream.
  void check_once() {
    const std::lock_guard lock(mutex_);
    if (checked_) return;
    require_archive_of(load_manifest(*directory_), fmt::format("daystream \"{}\"", path().string()),
                       load_manifest(*archive_), address_);
    checked_ = true;
  }

  const S3Address address_;
  const std::unique_ptr<Dir> directory_;
  const std::unique_ptr<ArchiveDir> archive_;
  std::mutex mutex_;
  bool checked_ = false;
};

class JoinedSource final : public FilesSource {
 public:
  JoinedSource(std::unique_ptr<ReaderSource> live, std::shared_ptr<JoinedDir> dir)
      : FilesSource(dir), live_(std::move(live)), joined_(std::move(dir)) {}

  std::string name() const override { return live_->name(); }
  Manifest manifest() override { return live_->manifest(); }

  std::optional<Place> resolve(const StartAfter& start) override {
    const bool from_first = start.position == Position::begin() && !start.lsn;
    is_live_ = !from_first;
    if (!from_first) {
      try {
        return live_->resolve(start);
      } catch (const PositionGone&) {
        is_live_ = false;
      }
    }
    return FilesSource::resolve(start);
  }

  std::vector<std::int64_t> days() override {
    auto days = live_->days();
    if (is_live_ && std::binary_search(days.begin(), days.end(), day_)) return days;
    // What follows the day that was read last may be gone here.
    if (std::exchange(is_live_, false)) joined_->look_again();
    return FilesSource::days();
  }
  std::unique_ptr<File> open_day(std::int64_t day) override {
    day_ = day;
    if (is_live_) {
      if (auto file = live_->open_day(day)) return file;
    }
    return FilesSource::open_day(day);
  }
  std::optional<Limit> limit(std::int64_t day, std::uint64_t offset) override {
    return live_->limit(day, offset);
  }
  bool wait(std::chrono::milliseconds timeout, int wake_fd) override {
    return live_->wait(timeout, wake_fd);
  }
  std::uint64_t backlog_bytes(std::int64_t day, std::uint64_t offset) override {
    return is_live_ ? live_->backlog_bytes(day, offset) : FilesSource::backlog_bytes(day, offset);
  }

 private:
  const std::unique_ptr<ReaderSource> live_;
  const std::shared_ptr<JoinedDir> joined_;
  bool is_live_ = false;  // nothing is needed from the archive
  std::int64_t day_ = 0;  // opened last
};

class JoinedStream final : public FilesStream {
 public:
  JoinedStream(const Stream& live, std::filesystem::path directory, const std::string& archive)
      : FilesStream(live.address() + "+" + archive),
        live_(live),
        directory_(std::move(directory)),
        archive_(S3Address::parse(archive)) {}

  std::string absolute_address() const override {
    return live_.absolute_address() + "+" + archive_.text;
  }
  std::optional<std::filesystem::path> directory() const override { return directory_; }
  std::shared_ptr<Dir> files() const override { return joined(); }
  Manifest manifest() const override { return live_.manifest(); }

  std::optional<Seam> find_seam(std::uint64_t xmin) const override {
    const auto seam = live_.find_seam(xmin);
    return seam ? seam : FilesStream::find_seam(xmin);
  }
  std::optional<std::uint32_t> timeline() const override {
    const auto timeline = live_.timeline();
    return timeline ? timeline : FilesStream::timeline();
  }
  std::optional<Position> before_last(std::uint64_t commits) const override {
    const auto position = live_.before_last(commits);
    return position ? position : FilesStream::before_last(commits);
  }
  StreamInfo info() const override {
    return info_of(*joined(), joined_stream(live_, archive_.text), writer_of(directory_));
  }
  std::unique_ptr<ReaderSource> reader_source() const override {
    return std::make_unique<JoinedSource>(reader_source_of(live_), joined());
  }

 private:
  std::shared_ptr<JoinedDir> joined() const {
    return std::make_shared<JoinedDir>(directory_, archive_);
  }

  const Stream live_;
  const std::filesystem::path directory_;
  const S3Address archive_;
};

}  // namespace

Stream joined_stream(const Stream& live, const std::string& archive) {
  const auto directory = live.directory();
  if (!directory || !S3Address::is_one(archive)) {
    throw ConfigError(
        fmt::format("cannot read \"{}+{}\": only a directory can have an archive behind it",
                    live.address(), archive),
        "pull the stream into a directory: daystream pull URL DIR; then DIR+s3://BUCKET/PREFIX");
  }
  return Stream(std::make_shared<JoinedStream>(live, *directory, archive));
}

}  // namespace daystream::remote
