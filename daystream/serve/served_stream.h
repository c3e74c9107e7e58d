// One daystream as the server has it: what is durable of it, where a follower begins, the bytes.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "daystream/durable.h"
#include "daystream/manifest.h"
#include "packed_day.h"
#include "place.h"
#include "serve/block_cache.h"
#include "serve/libevent.h"
#include "stream_view.h"
#include "wake.h"

namespace daystream::serve {

// What comes next in a day's file.
struct Cursor {
  std::int64_t day = 0;
  std::uint64_t offset = 0;
  std::shared_ptr<File> file;
  std::optional<StoredFrame> frame = {};  // the rest of one that is sent as it is stored
};

// What next_packed() has read.
struct Piece {
  Block packed = nullptr;  // zstd frames, or a part of one; nullptr: nothing
  Block text = nullptr;    // of it; nullptr: it was not taken apart
  Position position;       // without `text`: of a line at or before its end
};

// Where a response begins, and what stands before it.
struct Beginning {
  Cursor cursor;
  Position after;                      // the line before; Position::begin() where none is kept
  std::optional<std::uint32_t> chain;  // running CRC there, where it is known
  Lsn lsn;                             // of the last commit or mark before
};

// What takes the longer to find out the more days there are, or the larger the last transaction is:
// taken on a thread now and then, and read by pages and metrics.
struct StreamSample {
  struct DaySize {
    std::int64_t day = 0;
    std::uint64_t text_bytes = 0;
    std::uint64_t stored_bytes = 0;
    bool packed = false;
  };
  std::vector<DaySize> days;  // oldest first
  // What a deltastream that writes here reports of itself (streamer/status/status.h); null: none
  // does.
  std::shared_ptr<const nlohmann::ordered_json> streamer;
  std::string disk_trouble;  // that its disk is full; empty: it is not
  Position durable = Position::begin();
  // The last commit there, and when the server made it, since 1970; begin(): none was seen yet.
  Position commit = Position::begin();
  std::int64_t commit_us = 0;
};

// Ownership:  owns its descriptors and its event in the loop, which must outlive it.
// Threads:    the loop's one, but for what says otherwise.
class ServedStream {
 public:
  // Throws what Manifest::load() throws: a directory without a manifest is no daystream.
  ServedStream(event_base* loop, std::string name, const std::filesystem::path& directory);

  const std::string& name() const noexcept { return name_; }
  const std::filesystem::path& directory() const noexcept { return dir_->path(); }
  // Any thread may call these.
  Manifest manifest() const;
  std::string manifest_text() const;  // the file, byte for byte
  StreamView view() const { return StreamView(*dir_, whole_); }
  // `before`: the last one, of which what cannot have changed is taken over. Throws what reading
  // throws.
  StreamSample sample(const StreamSample& before) const;

  // What has become of its directory, in words: another one is under its name, or none. Empty: it
  // is there as it was.
  std::string lost() const { return place_.problem(); }

  // Looks again at what is durable: a new follower is to get all of it, whenever the loop heard of
  // it.
  void refresh() { load_durable(); }
  // The end of what may be sent; nullopt: no line yet.
  const std::optional<Durable>& durable() const noexcept { return durable_; }

  // How many bytes have become durable since this was made, but for the end of days that went by.
  std::uint64_t grown_bytes() const noexcept { return grown_bytes_; }
  // The last one that was put here.
  const StreamSample& latest() const noexcept { return latest_; }
  std::chrono::steady_clock::time_point latest_at() const noexcept { return latest_at_; }
  void put(StreamSample sample);
  // What the deltastream that writes here reports now; null: none does. Any thread.
  std::shared_ptr<const nlohmann::ordered_json> read_streamer() const;
  // That alone is asked for more often than a whole sample.
  void put_streamer(std::shared_ptr<const nlohmann::ordered_json> told);
  std::chrono::steady_clock::time_point streamer_at() const noexcept { return streamer_at_; }
  // How long the last commit of the sample, if one came since the last call, took from the server's
  // clock to here, where it is known to be durable; in milliseconds.
  std::optional<std::int64_t> take_lag_ms();

  // Both throw HttpError: 410 where what follows is no longer kept, 409 where the stream has no
  // such line (it is another one, or lost what it had), 503 while it is still behind. They read
  // backwards through whole transactions: any thread may call them, the loop's should not.
  Beginning begin_after(const StartAfter& start) const;  // as a Reader begins
  Beginning begin_at_line(Position line, std::optional<std::uint32_t> crc) const;  // right after it
  // All that read one day share one open file: to be called on the loop, before the first next().
  void share(Beginning& begin) const;

  // The next bytes, moving `cursor`; nullptr: all that is durable was read. Throws PositionGone
  // where the day was deleted meanwhile.
  Block next(Cursor& cursor);
  // The same as zstd frames: those of a compressed day as they are stored.
  Piece next_packed(Cursor& cursor);
  // What is durable and not yet read, in bytes; of days in between as the last sample has them.
  std::uint64_t backlog_bytes(const Cursor& cursor) const;

  // Called when more is durable, at most every kGather. One at a time.
  void on_more(std::function<void()> callback) { on_more_ = std::move(callback); }

 private:
  void watched();
  void load_durable();
  void announce();
  std::shared_ptr<File> open_day(std::int64_t day) const;
  std::uint64_t limit_at(Cursor& cursor) const;
  Beginning beginning_of(const Place& place) const;

  std::string name_;
  std::unique_ptr<Dir> dir_;
  // Where it had no `durable` when this was made: what was whole of it. What may be torn after it
  // is sent to nobody.
  const std::optional<Durable> whole_;
  PlaceWatch place_;
  DurableWatch watch_;
  std::optional<Durable> durable_;
  mutable std::map<std::int64_t, std::weak_ptr<File>> files_;  // open ones, shared
  BlockCache blocks_;
  std::function<void()> on_more_;
  Event watch_event_;
  Event gather_;
  std::int64_t announced_us_ = 0;
  std::uint64_t grown_bytes_ = 0;
  // When which end was first seen, since 1970: the last few, the oldest first.
  struct Moment {
    Position durable;
    std::int64_t at_us = 0;
  };
  std::deque<Moment> moments_;
  Position lag_told_ = Position::begin();
  StreamSample latest_;
  std::chrono::steady_clock::time_point latest_at_;
  std::chrono::steady_clock::time_point streamer_at_;
};

}  // namespace daystream::serve
