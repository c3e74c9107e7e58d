#include "serve/served_stream.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>

#include "calendar.h"
#include "crc32c.h"
#include "day_file.h"
#include "daystream/error.h"
#include "durable_file.h"
#include "line_prefix.h"
#include "manifest_file.h"
#include "number.h"
#include "program/disk_space.h"
#include "program/stream_health.h"
#include "serve/http_error.h"

namespace daystream::serve {

namespace {

using std::chrono::microseconds;

// How long lines that became durable may wait for others, so that a follower is written to 50
// times a second at most.
constexpr microseconds kGather{20000};

// More ends than are seen between two samples.
constexpr std::size_t kMostMoments = 1024;

std::int64_t steady_us() {
  return std::chrono::duration_cast<microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Without the path that the library names: a peer learns of no file.
HttpError gone_from(const std::string& name, Position position, const std::string& hint) {
  return {410, "position-gone",
          fmt::format("what follows position {} is no longer in daystream \"{}\"", position.text(),
                      name),
          hint};
}

// The last one of those that came after `after`. Marks, of which a busy stream has some too, are
// passed over; what a midnight stands between is not looked for.
std::optional<EndLine> last_commit(const StreamView& stream, Position after) {
  std::optional<EndLine> end = stream.last_end();
  while (end && end->position > after) {
    if (end->action == Action::Commit) return end;
    const auto day = stream.open_if_kept(day_number(end->position.c));
    if (!day) return std::nullopt;
    end = Seeker(*day->file, day->limit).last_end_before(end->begin);
  }
  return std::nullopt;
}

// After a loss of power, or in a copy without `durable`; nullopt: there is one.
std::optional<Durable> whole_end_of(Dir& dir, const std::string& name) {
  if (load_durable(dir)) return std::nullopt;
  auto end = whole_end(dir);
  if (!end) return std::nullopt;
  const auto file = open_day_file(dir, day_number(end->position.c)).file;
  if (file && file->size() > end->size_bytes) {
    spdlog::warn(
        "{}: what begins at byte {} of file \"{}\" is not whole, and not served before its "
        "writer has started and cut it",
        name, end->size_bytes, file->path());
  }
  return end;
}

HttpError no_such_line(const std::string& name, Position line) {
  return {
      409, "wrong-source", fmt::format("daystream \"{}\" has no line {}", name, line.text()),
      "it is another stream, or the stream host lost what it had: start again from a fresh copy"};
}

}  // namespace

ServedStream::ServedStream(event_base* loop, std::string name,
                           const std::filesystem::path& directory)
    : name_(std::move(name)),
      dir_(real_dir(directory)),
      whole_(whole_end_of(*dir_, name_)),
      place_(watch_directory(directory)),
      watch_(directory),
      watch_event_(loop, watch_.fd(), true, [this] { watched(); }),
      gather_(loop, -1, false, [this] { announce(); }) {
  load_manifest(*dir_);
  load_durable();
  if (durable_) lag_told_ = durable_->position;  // when that became durable is not known
  watch_event_.start(DurableWatch::kBetweenLooks);
}

Manifest ServedStream::manifest() const {
  return load_manifest(*dir_);
}

std::string ServedStream::manifest_text() const {
  const auto file = dir_->open(kManifestName);
  if (!file) throw IoError(fmt::format("could not open \"{}\"", dir_->path_of(kManifestName)), 2);
  return read_whole(*file);
}

// ---- what is durable ---------------------------------------------------------------------------

void ServedStream::load_durable() {
  auto durable = daystream::load_durable(*dir_);
  if (!durable) durable = durable_ ? durable_ : whole_;
  if (durable && durable->position == Position::begin()) durable.reset();
  if (durable && (!durable_ || durable->position != durable_->position)) {
    if (moments_.size() == kMostMoments) moments_.pop_front();
    moments_.push_back({durable->position, now_us()});
    const bool same_day = durable_ && durable->position.day() == durable_->position.day();
    const std::uint64_t before = same_day ? durable_->size_bytes : 0;
    if (durable_) grown_bytes_ += durable->size_bytes - std::min(before, durable->size_bytes);
  }
  durable_ = durable;
}

std::optional<std::int64_t> ServedStream::take_lag_ms() {
  if (latest_.commit <= lag_told_) return std::nullopt;
  const auto seen = std::find_if(moments_.begin(), moments_.end(), [this](const Moment& moment) {
    return moment.durable >= latest_.commit;
  });
  if (seen == moments_.end()) return std::nullopt;  // the loop will hear of it
  lag_told_ = latest_.commit;
  return std::max<std::int64_t>(0, (seen->at_us - latest_.commit_us) / 1000);
}

// ---- what takes long to find out
// -----------------------------------------------------------------

StreamSample ServedStream::sample(const StreamSample& before) const {
  StreamSample sample;
  sample.streamer = read_streamer();
  sample.disk_trouble = program::disk_trouble(directory());
  const StreamView stream = view();
  for (const std::int64_t day : stream.days()) {
    const auto open = stream.open_if_kept(day);
    if (!open) continue;  // deleted just now
    sample.days.push_back({day, open->limit, open->stored_bytes, open->packed});
  }
  if (stream.empty()) return sample;
  sample.durable = stream.durable().position;
  sample.commit = before.commit;
  sample.commit_us = before.commit_us;
  if (before.durable == Position::begin()) return sample;  // when it came is not known
  if (const auto commit = last_commit(stream, before.durable)) {
    sample.commit = commit->position;
    sample.commit_us = parse_change(commit->body).time_us;
  }
  return sample;
}

void ServedStream::put(StreamSample sample) {
  latest_ = std::move(sample);
  latest_at_ = streamer_at_ = std::chrono::steady_clock::now();
}

std::shared_ptr<const nlohmann::ordered_json> ServedStream::read_streamer() const {
  return program::read_streamer_status(*dir_);
}

void ServedStream::put_streamer(std::shared_ptr<const nlohmann::ordered_json> told) {
  latest_.streamer = std::move(told);
  streamer_at_ = std::chrono::steady_clock::now();
}

void ServedStream::watched() {
  try {
    if (!watch_.wait(std::chrono::milliseconds(0), -1) || gather_.pending()) return;
    const std::int64_t waited = steady_us() - announced_us_;
    if (waited >= kGather.count()) {
      announce();
    } else {
      gather_.start(kGather - microseconds(waited));
    }
  } catch (const std::exception& e) {
    spdlog::error("{}: {}", name_, e.what());
  }
}

void ServedStream::announce() {
  try {
    announced_us_ = steady_us();
    load_durable();
    if (on_more_) on_more_();
  } catch (const std::exception& e) {
    spdlog::error("{}: {}", name_, e.what());
  }
}

// ---- where to begin ----------------------------------------------------------------------------

std::shared_ptr<File> ServedStream::open_day(std::int64_t day) const {
  std::weak_ptr<File>& known = files_[day];
  if (auto file = known.lock()) return file;
  std::shared_ptr<File> file = open_day_file(*dir_, day).file;
  if (!file) {
    throw PositionGone(
        fmt::format("day {} of daystream \"{}\" is no longer kept", day_text(day), name_),
        "start again from a fresh copy of the tables");
  }
  known = file;
  std::erase_if(files_, [](const auto& entry) { return entry.second.expired(); });
  return file;
}

void ServedStream::share(Beginning& begin) const {
  try {
    begin.cursor.file = open_day(begin.cursor.day);
  } catch (const PositionGone& e) {
    throw HttpError(410, "position-gone", e.what(), e.hint());
  }
}

Beginning ServedStream::beginning_of(const Place& place) const {
  return {
      {place.day, place.state.offset, nullptr, {}}, place.state.last, place.state.chain, place.lsn};
}

Beginning ServedStream::begin_after(const StartAfter& start) const {
  const StreamView view = this->view();
  try {
    const auto place = view.resolve(start);
    if (!place) {
      throw HttpError(503, "behind",
                      start.lsn ? fmt::format("daystream \"{}\" is still behind LSN {}", name_,
                                              start.lsn->text())
                                : fmt::format("daystream \"{}\" has no line yet", name_));
    }
    return beginning_of(*place);
  } catch (const PositionGone& e) {
    throw gone_from(name_, start.position, e.hint());
  }
}

Beginning ServedStream::begin_at_line(Position line, std::optional<std::uint32_t> crc) const {
  if (line == Position::begin()) return begin_after({});
  const StreamView view = this->view();
  if (view.empty() || line > view.durable().position) {
    throw HttpError(503, "ahead",
                    fmt::format("position {} is ahead of daystream \"{}\", which ends at {}",
                                line.text(), name_, view.durable().position.text()),
                    "the server's copy is behind this one, or is another stream");
  }
  const std::int64_t day = day_number(line.c);
  if (day < view.days().front()) {
    throw gone_from(name_, line,
                    "going on from there would skip changes: start again in an empty directory");
  }
  if (!std::binary_search(view.days().begin(), view.days().end(), day)) {
    throw no_such_line(name_, line);
  }
  Beginning begin;
  begin.cursor = {day, 0, nullptr, {}};
  const auto open = view.open_if_kept(day);
  if (!open) throw gone_from(name_, line, "start again from a fresh copy of the tables");
  const Seeker seeker(*open->file, open->limit);
  begin.cursor.offset = seeker.after(line);
  // The line itself has to be there, and, where it says a CRC, with the CRC of the asker.
  const Seeker before(*open->file, begin.cursor.offset);
  const auto found = before.last_line();
  const auto prefix = found ? parse_prefix(found->text) : std::nullopt;
  if (!prefix || prefix->position != line) throw no_such_line(name_, line);
  const std::string_view rest = std::string_view(found->text).substr(prefix->size);
  if (rest.starts_with(kCrcKey)) begin.chain = parse_crc(rest.substr(kCrcKey.size(), 8));
  // What its CRC is here is not said: who knows it has the line (PROTOCOL.md, "Copies").
  if (crc && begin.chain != crc) {
    throw HttpError(409, "wrong-source",
                    fmt::format("line {} of daystream \"{}\" has {} CRC, not CRC {}", line.text(),
                                name_, begin.chain ? "another" : "no", crc_text(*crc)),
                    "it is another stream, or one of the two copies is damaged");
  }
  begin.after = line;
  return begin;
}

// ---- bytes -------------------------------------------------------------------------------------

Block ServedStream::next(Cursor& cursor) {
  const std::uint64_t limit = limit_at(cursor);
  if (limit == 0) return nullptr;
  Block block =
      blocks_.read(BlockCache::Kind::Text, cursor.day, *cursor.file, cursor.offset, limit);
  cursor.offset += block->size();
  return block;
}

// Frames are independent, so those on disk and those made here may follow each other. Whoever
// begins inside one is sent the rest of it as text that is compressed again.
Piece ServedStream::next_packed(Cursor& cursor) {
  if (!cursor.frame) {
    const std::uint64_t limit = limit_at(cursor);
    if (limit == 0) return {};
    cursor.frame = stored_frame_of(*cursor.file, cursor.offset);
    if (!cursor.frame || cursor.frame->text_begin != cursor.offset) {
      const std::uint64_t end = cursor.frame ? cursor.frame->text_end : limit;
      cursor.frame.reset();
      const Block text =
          blocks_.read(BlockCache::Kind::Text, cursor.day, *cursor.file, cursor.offset, end);
      cursor.offset += text->size();
      return {blocks_.packed(text), text, {}};
    }
  }
  StoredFrame& frame = *cursor.frame;
  Piece piece{
      blocks_.read(BlockCache::Kind::Stored, cursor.day, *frame.packed, frame.begin, frame.end),
      nullptr, frame.position};
  frame.begin += piece.packed->size();
  if (frame.begin == frame.end) {
    cursor.offset = frame.text_end;
    cursor.frame.reset();
  }
  return piece;
}

// Moves `cursor` on to a day that has more, if this one has not. Where the bytes after it end; 0:
// there are none.
std::uint64_t ServedStream::limit_at(Cursor& cursor) const {
  if (!durable_) return 0;
  const std::int64_t last = day_number(durable_->position.c);
  for (;;) {
    if (cursor.day > last) return 0;
    const std::uint64_t limit = cursor.day == last ? durable_->size_bytes : cursor.file->size();
    if (cursor.offset < limit) return limit;
    if (cursor.day == last) return 0;
    const auto days = list_days(*dir_);
    const auto next = std::upper_bound(days.begin(), days.end(), cursor.day);
    if (next == days.end()) return 0;
    if (!std::binary_search(days.begin(), days.end(), cursor.day)) {
      throw PositionGone(fmt::format("day {} was deleted while it was sent", day_text(cursor.day)),
                         "keep more days, with --keep-days of deltastream");
    }
    cursor = {*next, 0, open_day(*next), {}};
  }
}

std::uint64_t ServedStream::backlog_bytes(const Cursor& cursor) const {
  if (!durable_) return 0;
  const std::int64_t last = day_number(durable_->position.c);
  if (cursor.day == last)
    return durable_->size_bytes - std::min(durable_->size_bytes, cursor.offset);
  std::uint64_t total = durable_->size_bytes;
  for (const StreamSample::DaySize& day : latest_.days) {
    if (day.day >= cursor.day && day.day < last) total += day.text_bytes;
  }
  return total - std::min(total, cursor.offset);
}

}  // namespace daystream::serve
