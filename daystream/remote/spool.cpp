#include "remote/spool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "daystream/error.h"
#include "daystream/unique_fd.h"
#include "src/read_only_file.h"
#include "write_all.h"

namespace daystream::remote {

// How much is given back to the file system at once.
constexpr std::uint64_t kReleaseBytes = 4 * 1024 * 1024;

struct Spool::Storage {
  UniqueFd fd;
  std::string place;

  [[noreturn]] void fail(const char* action) const {
    throw IoError(fmt::format("could not {} a temporary file in \"{}\"", action, place), errno,
                  "TMPDIR says where temporary files go");
  }
};

namespace {

// One day's part of the storage, with offsets of its own.
class SpoolFile final : public ReadOnlyFile {
 public:
  SpoolFile(std::string name, std::shared_ptr<Spool::Storage> storage,
            std::shared_ptr<const Spool::Day> day)
      : ReadOnlyFile(std::move(name)), storage_(std::move(storage)), day_(std::move(day)) {}

  // Never asked beyond what limit() said was there.
  std::size_t read_at(std::span<char> into, std::uint64_t offset) const override {
    std::size_t done = 0;
    while (done < into.size()) {
      const ssize_t got = pread(storage_->fd.get(), into.data() + done, into.size() - done,
                                static_cast<off_t>(day_->begin + (offset - day_->base) + done));
      if (got == 0) break;
      if (got > 0) {
        done += static_cast<std::size_t>(got);
      } else if (errno != EINTR) {
        storage_->fail("read");
      }
    }
    return done;
  }
  std::uint64_t size() const override { return day_->size(); }

 private:
  std::shared_ptr<Spool::Storage> storage_;
  std::shared_ptr<const Spool::Day> day_;
};

}  // namespace

Spool::Spool() : storage_(std::make_shared<Storage>()) {
  storage_->place = std::filesystem::temp_directory_path().string();
  storage_->fd = open_unnamed();
}
Spool::~Spool() = default;

void Spool::begin_day(std::int64_t day, bool inside) {
  days_.push_back(std::make_shared<Day>(Day{day, inside ? kInside : 0, size_, size_}));
}

void Spool::append(std::string_view bytes) {
  if (!write_all_at(storage_->fd.get(), bytes, size_)) storage_->fail("write");
  size_ += bytes.size();
}

void Spool::end_line() {
  whole_ = size_;
  days_.back()->end = size_;
}

void Spool::drop_half_line() {
  size_ = whole_;
  while (!days_.empty() && days_.back()->begin > whole_) days_.pop_back();
}

std::vector<std::int64_t> Spool::days() const {
  std::vector<std::int64_t> days;
  for (const auto& day : days_) days.push_back(day->day);
  return days;
}

std::shared_ptr<const Spool::Day> Spool::find(std::int64_t day) const {
  const auto found =
      std::find_if(days_.begin(), days_.end(), [day](const auto& one) { return one->day == day; });
  return found != days_.end() ? *found : nullptr;
}

std::unique_ptr<File> Spool::open(std::int64_t day, const std::string& name) const {
  const auto found = find(day);
  if (found == nullptr) return nullptr;
  return std::make_unique<SpoolFile>(name, storage_, found);
}

void Spool::release(std::int64_t day, std::uint64_t offset) {
  while (!days_.empty() && days_.front()->day < day) days_.pop_front();
  const auto found = find(day);
  if (found == nullptr || offset < found->base) return;
  const std::uint64_t before = found->begin + (offset - found->base);
  if (before < released_ + kReleaseBytes) return;
  // A file system that cannot do this keeps the bytes until the end: no more than they are.
  const std::uint64_t size = (before - released_) / kReleaseBytes * kReleaseBytes;
  if (fallocate(storage_->fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                static_cast<off_t>(released_), static_cast<off_t>(size)) == 0) {
    released_ += size;
  }
}

std::uint64_t Spool::bytes_from(std::int64_t day, std::uint64_t offset) const {
  const auto found = find(day);
  if (found == nullptr) return 0;
  const std::uint64_t place = found->begin + (offset - std::min(offset, found->base));
  return whole_ - std::min(whole_, place);
}

}  // namespace daystream::remote
