#include "remote/archive.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "calendar.h"
#include "day_file.h"
#include "daystream/error.h"
#include "durable_file.h"
#include "json_text.h"
#include "manifest_file.h"
#include "manifest_json.h"
#include "packing.h"
#include "program/sha256.h"
#include "remote/s3_file.h"
#include "scanner.h"
#include "stream_view.h"

namespace daystream::remote {

namespace {

constexpr std::uint64_t kPiece = 1024 * 1024;

std::string read(const File& file, std::uint64_t begin, std::uint64_t size) {
  std::string bytes(size, '\0');
  const std::size_t got = file.read_at(bytes, begin);
  if (got < size) throw Corruption(file.path(), begin + got, "the file ends here, it was longer");
  return bytes;
}

// Where the next day goes on.
ScanState end_of(const ArchivedDay& day) {
  return {0, day.summary.position, day.summary.chain, false};
}

// Goes through `text`, which is all of `day`; throws Corruption where it does not go on after
// `before`, or is not what `summary` says.
void check_text(const File& text, std::int64_t day, const ScanState& before,
                const PackedSummary& summary, const Stop& stop) {
  GroupScanner scanner(text, day, before, summary.size_bytes);
  Group group;
  std::uint64_t asked_at = 0;
  while (scanner.next(group)) {
    if (group.end < asked_at + kPiece) continue;
    asked_at = group.end;
    if (stop.requested()) throw Stopped();
  }
  const ScanState end = scanner.state();
  if (scanner.half_line() || end.in_transaction || end.offset != summary.size_bytes ||
      end.last != summary.position || end.chain != summary.chain) {
    throw Corruption(text.path(), end.offset, "the text does not end as the index says");
  }
}

}  // namespace

Archive::Archive(std::filesystem::path directory, const S3Address& address,
                 const ArchiveRules& rules, Stop stop)
    : directory_(std::move(directory)),
      rules_(rules),
      stop_(std::move(stop)),
      dir_(real_dir(directory_)),
      client_(address, S3Patience{.stop = stop_}) {}
Archive::~Archive() = default;

// What the archive is of, and what is there.
void Archive::load() {
  const Manifest ours = load_manifest(*dir_);
  index_ = load_index(client_).value_or(ArchiveIndex{});
  manifest_ = client_.get(kManifestName).value_or("");
  if (!manifest_.empty()) {
    const Manifest theirs = parse_manifest(manifest_, client_.address().name_of(kManifestName),
                                           client_.address().name());
    require_archive_of(ours, fmt::format("daystream \"{}\"", directory_.string()), theirs,
                       client_.address());
  } else if (!index_.days.empty()) {
    throw Corruption(client_.address().name_of(kManifestName), 0,
                     "the object is not there, \"archive.json\" is",
                     "put it back from a copy, or archive to another prefix");
  }
  if (!index_.days.empty()) require_continuation(index_.days.back());
  loaded_ = true;
}

// The first day here after the last one there begins with a mark that says what it continues.
void Archive::require_continuation(const ArchivedDay& last) {
  const StreamView view(*dir_);
  const auto& days = view.days();
  const auto next = std::upper_bound(days.begin(), days.end(), last.day);
  if (next == days.end()) return;  // this copy is behind
  const auto open = view.open(*next);
  GroupScanner scanner(*open.file, *next, end_of(last), open.limit);
  Group group;
  try {
    scanner.next(group);
    return;
  } catch (const Corruption& e) {
    const bool has_the_last = std::binary_search(days.begin(), days.end(), last.day);
    const std::string what = fmt::format("\"{}\" does not continue \"{}\" ({})", open.file->path(),
                                         client_.address().name_of(last.key()), e.problem());
    if (has_the_last || days.front() <= last.day) {
      throw WrongSource(what, "one of the two is a fork of the other: archive to another prefix");
    }
    throw PositionGone(what,
                       "days between the two were deleted here before they were archived: archive "
                       "to another prefix, and run \"daystream archive --follow\" from now on");
  }
}

void Archive::put_manifest() {
  Manifest manifest = load_manifest(*dir_);
  manifest.keep_days = rules_.keep_days;
  manifest.keep_bytes = rules_.keep_bytes;
  const std::string text = json_page(to_json(manifest));
  if (text == manifest_) return;
  client_.put(kManifestName, text, program::sha256_of(text));
  manifest_ = text;
}

// The oldest that is closed here and newer than all that is there.
std::optional<std::int64_t> Archive::next_day() {
  const StreamView view(*dir_);
  if (view.empty() || !view.is_settled()) return std::nullopt;
  const std::int64_t current = view.days().back();
  for (const std::int64_t day : view.days()) {
    if (day >= current) break;
    if (index_.days.empty() || day > index_.days.back().day) return day;
  }
  return std::nullopt;
}

Archive::State Archive::look() {
  load();
  State state{index_.days.size(), 0, index_.stored_bytes()};
  const StreamView view(*dir_);
  for (const std::int64_t day : view.days()) {
    const bool is_new = index_.days.empty() || day > index_.days.back().day;
    if (is_new && day != view.days().back()) ++state.waiting;
  }
  return state;
}

std::optional<Archive::Step> Archive::step() {
  // Others may have put it there meanwhile.
  if (!loaded_ || next_day()) load();
  if (const auto day = next_day()) {
    put_manifest();
    return archive(*day);
  }
  if (!index_.days.empty()) put_manifest();
  return delete_one();
}

Archive::Step Archive::archive(std::int64_t day) {
  DayFile found = open_day_file(*dir_, day);
  if (!found) {
    throw PositionGone(fmt::format("day file \"{}\" is no longer kept",
                                   (directory_ / day_file_name(day)).string()),
                       "it was deleted before it was archived: archive to another prefix");
  }
  ArchivedDay entry;
  entry.day = day;
  std::unique_ptr<File> stored;
  if (found.packed) {
    stored = dir_->open(packed_file_name(day));
    entry.summary = read_summary(*stored).value();
  } else {
    stored = unnamed_file();
    const auto packed = pack_text(*found.file, *stored, day, rules_.compress, stop_);
    if (!packed) throw Stopped();
    entry.summary = *packed;
  }
  const ScanState before = index_.days.empty() ? ScanState{} : end_of(index_.days.back());
  check_text(*found.file, day, before, entry.summary, stop_);
  entry.stored_bytes = stored->size();
  program::Sha256 sha256;
  for (std::uint64_t at = 0; at < entry.stored_bytes; at += kPiece) {
    if (stop_.requested()) throw Stopped();
    sha256.add(read(*stored, at, std::min(kPiece, entry.stored_bytes - at)));
  }
  entry.sha256 = sha256.text();
  Step step{Step::Kind::Archived, entry.key(), entry.summary.size_bytes, entry.stored_bytes, 0};
  S3FileRules rules{rules_.part_bytes, {}};
  if (progress) {
    rules.progress = [&](std::uint64_t done, std::uint64_t size) {
      progress(entry.key(), done, size);
    };
  }
  step.sent_bytes = put_file(client_, entry.key(), *stored, entry.sha256, rules);
  ArchiveIndex index = index_;
  index.days.push_back(entry);
  save_index(client_, index);
  index_ = std::move(index);
  return step;
}

// Only from the front, and never the last: what is kept has no holes, and says where to go on.
std::optional<Archive::Step> Archive::delete_one() {
  if (!rules_.keep_days && !rules_.keep_bytes) return std::nullopt;
  if (index_.days.size() < 2) return std::nullopt;
  const auto durable = load_durable(*dir_);
  if (!durable || durable->position.c < 0) return std::nullopt;
  const ArchivedDay oldest = index_.days.front();
  const bool too_old = rules_.keep_days && day_number(durable->position.c) - oldest.day >
                                               static_cast<std::int64_t>(*rules_.keep_days);
  const bool too_much = rules_.keep_bytes && index_.stored_bytes() > *rules_.keep_bytes;
  if (!too_old && !too_much) {
    if (!std::exchange(is_tidy_, true)) delete_leftovers();
    return std::nullopt;
  }
  is_tidy_ = false;
  // Who reads it meanwhile finds that archive.json no longer has it, and so that it was not lost.
  ArchiveIndex index = index_;
  index.days.erase(index.days.begin());
  save_index(client_, index);
  index_ = std::move(index);
  client_.remove(oldest.key());
  return Step{Step::Kind::Deleted, oldest.key(), oldest.summary.size_bytes, oldest.stored_bytes, 0};
}

// Of days that archive.json has no longer: who was killed has left them, or a server that says that
// it has deleted and has not.
void Archive::delete_leftovers() {
  for (const S3Client::Object& object : client_.list("")) {
    const auto day = day_of_file_name(object.key);
    if (day && *day < index_.days.front().day) client_.remove(object.key);
  }
}

}  // namespace daystream::remote
