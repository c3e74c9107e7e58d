#include "remote/archive_dir.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <utility>

#include "day_file.h"
#include "daystream/durable.h"
#include "daystream/error.h"
#include "read_only_file.h"
#include "remote/text_file.h"
#include "sealed_line.h"

namespace daystream::remote {

namespace {

constexpr std::uint64_t kMostAhead = 8 * 1024 * 1024;  // that is read at once

constexpr const char* kOnlyArchiveWrites = "only \"daystream archive\" writes there";

// A part of an object.
struct Piece {
  std::uint64_t begin = 0;
  std::string bytes;

  bool holds(std::uint64_t from, std::uint64_t to) const noexcept {
    return from >= begin && to <= end();
  }
  std::uint64_t end() const noexcept { return begin + bytes.size(); }
  std::string_view of(std::uint64_t from, std::uint64_t to) const {
    return std::string_view(bytes).substr(from - begin, to - from);
  }
};

// What is held of a day: each file of it that is open has the same. A place is looked for in one
// file, and read from in another.
struct DayPieces {
  std::int64_t day = 0;
  std::mutex mutex;  // of what follows
  Piece index;
  Piece newest, before;
};

}  // namespace

// What is known of the archive.
class ArchiveDir::Shelf {
 public:
  explicit Shelf(const S3Address& address) : client_(address) {}

  S3Client& client() noexcept { return client_; }
  // Of the day that was asked for last, what is held stays.
  std::shared_ptr<DayPieces> pieces_of(std::int64_t day) {
    const std::lock_guard lock(mutex_);
    if (!pieces_ || pieces_->day != day) {
      pieces_ = std::make_shared<DayPieces>();
      pieces_->day = day;
    }
    return pieces_;
  }
  const S3Address& address() const noexcept { return client_.address(); }

  ArchiveIndex index() {
    const std::lock_guard lock(mutex_);
    if (!index_) index_ = fetch();
    return *index_;
  }
  // True: it has changed.
  bool look_again() {
    ArchiveIndex now = fetch();
    const std::lock_guard lock(mutex_);
    const bool changed = !index_ || index_->text() != now.text();
    index_ = std::move(now);
    return changed;
  }

 private:
  ArchiveIndex fetch() {
    if (auto index = load_index(client_)) return std::move(*index);
    throw NeedsPerson(
        fmt::format("there is no archive at \"{}\"", address().name()),
        fmt::format("look at bucket and prefix; \"daystream archive DIR {}\" makes one",
                    address().name()));
  }

  S3Client client_;
  std::mutex mutex_;
  std::optional<ArchiveIndex> index_;
  std::shared_ptr<DayPieces> pieces_;
};

namespace {

// An object, of which pieces are fetched as they are asked for.
class DayObject final : public ReadOnlyFile {
 public:
  DayObject(std::shared_ptr<ArchiveDir::Shelf> shelf, const ArchivedDay& day)
      : ReadOnlyFile(shelf->address().name_of(day.key()), kOnlyArchiveWrites),
        shelf_(std::move(shelf)),
        day_(day),
        index_size_((day.summary.frames + 1) * kSealedLineSize),
        index_at_(day.stored_bytes - index_size_),
        pieces_(shelf_->pieces_of(day.day)),
        end_line_{size() - kSealedLineSize, day.summary.text()},
        header_{index_at_ - kIndexHeaderSize, index_header(index_size_)} {}

  std::uint64_t size() const override { return day_.stored_bytes; }

  std::size_t read_at(std::span<char> into, std::uint64_t offset) const override {
    if (offset >= size()) return 0;
    const std::uint64_t end = std::min<std::uint64_t>(offset + into.size(), size());
    const std::lock_guard lock(pieces_->mutex);
    const std::string_view piece = piece_of(offset, end);
    std::memcpy(into.data(), piece.data(), piece.size());
    return piece.size();
  }

 private:
  // What it ends in, and how the index begins, is known.
  std::string_view piece_of(std::uint64_t begin, std::uint64_t end) const {
    for (const Piece* piece : std::initializer_list<const Piece*>{
             &end_line_, &header_, &pieces_->index, &pieces_->newest, &pieces_->before}) {
      if (piece->holds(begin, end)) return piece->of(begin, end);
    }
    if (begin >= index_at_) {
      pieces_->index = fetch(index_at_, size());
      if (!pieces_->index.bytes.ends_with(end_line_.bytes)) {
        throw Corruption(path(), size() - kSealedLineSize,
                         "the object does not end as \"archive.json\" says",
                         "somebody else has written there: archive to another prefix");
      }
      return pieces_->index.of(begin, end);
    }
    // Who goes on where the last piece ended is reading all of it.
    const Piece& last = pieces_->newest;
    const bool goes_on = !last.bytes.empty() && begin >= last.begin && begin <= last.end();
    std::uint64_t wanted = end - begin;
    if (goes_on) {
      wanted = std::max(wanted, std::min<std::uint64_t>(2 * last.bytes.size(), kMostAhead));
    }
    const std::uint64_t stop = std::max(end, index_at_ - kIndexHeaderSize);
    Piece piece = fetch(begin, std::min(stop, begin + wanted));
    pieces_->before = std::exchange(pieces_->newest, std::move(piece));
    return pieces_->newest.of(begin, end);
  }

  Piece fetch(std::uint64_t begin, std::uint64_t end) const {
    auto bytes = shelf_->client().get(day_.key(), S3Client::Range{begin, end - begin});
    if (!bytes) missing();
    if (bytes->size() < end - begin) {
      throw Corruption(path(), begin + bytes->size(),
                       fmt::format("the object ends here, it should have {} bytes", size()));
    }
    return {begin, std::move(*bytes)};
  }

  [[noreturn]] void missing() const {
    shelf_->look_again();
    if (shelf_->index().find(day_.day) == nullptr) {
      throw PositionGone(fmt::format("day file \"{}\" is no longer kept", path()),
                         "start again from a fresh copy of the tables");
    }
    throw Corruption(path(), 0, "the object is not there, \"archive.json\" says that it is",
                     "put it back from a copy; was it deleted by a rule of the bucket?");
  }

  const std::shared_ptr<ArchiveDir::Shelf> shelf_;
  const ArchivedDay day_;
  const std::uint64_t index_size_;
  const std::uint64_t index_at_;
  const std::shared_ptr<DayPieces> pieces_;
  const Piece end_line_;  // known without a request, as is the next
  const Piece header_;    // of the index
};

}  // namespace

ArchiveDir::ArchiveDir(const S3Address& address)
    : ReadOnlyDir(address.name()), shelf_(std::make_shared<Shelf>(address)) {}
ArchiveDir::~ArchiveDir() = default;

std::unique_ptr<File> ArchiveDir::open(const std::string& name) {
  if (name == kDurableName) {
    const ArchiveIndex index = shelf_->index();
    if (index.days.empty()) return nullptr;
    const PackedSummary& last = index.days.back().summary;
    return std::make_unique<TextFile>(
        path_of(name), Durable{last.position, last.lsn, last.size_bytes, last.chain}.text(),
        kOnlyArchiveWrites);
  }
  if (const auto day = day_of_file_name(name)) {
    const ArchiveIndex index = shelf_->index();
    const ArchivedDay* found = index.find(*day);
    if (found == nullptr || found->key() != name) return nullptr;
    return std::make_unique<DayObject>(shelf_, *found);
  }
  auto text = shelf_->client().get(name);
  if (!text && name == kManifestName) shelf_->index();  // which says that there is no archive
  if (!text) return nullptr;
  return std::make_unique<TextFile>(path_of(name), std::move(*text), kOnlyArchiveWrites);
}

std::vector<std::string> ArchiveDir::list() {
  std::vector<std::string> names;
  for (const ArchivedDay& day : shelf_->index().days) names.push_back(day.key());
  names.emplace_back(kManifestName);
  names.emplace_back(kDurableName);
  std::sort(names.begin(), names.end());
  return names;
}

bool ArchiveDir::look_again() {
  return shelf_->look_again();
}

Error ArchiveDir::refusal(const std::string& name) const {
  return Error(fmt::format("cannot change \"{}\": it is an archive", path_of(name)),
               kOnlyArchiveWrites);
}

}  // namespace daystream::remote
