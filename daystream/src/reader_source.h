// Where the bytes of one Reader come from. Each kind of stream has its own (stream_impl.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daystream/durable.h"
#include "daystream/manifest.h"
#include "daystream/reader.h"
#include "dir.h"
#include "stream_view.h"

namespace daystream {

// Threads: one.
class ReaderSource {
 public:
  virtual ~ReaderSource() = default;

  virtual std::string name() const = 0;  // for messages
  virtual Manifest manifest() = 0;
  // Where a Reader begins; nullopt: not yet. Throws PositionGone, TornEnd.
  virtual std::optional<Place> resolve(const StartAfter& start) = 0;
  // Whether lines may be left out of what comes after that place: positions have holes then.
  virtual bool is_filtered() const { return false; }
  // The days there are, oldest first. None is missing between two that were read.
  virtual std::vector<std::int64_t> days() = 0;
  // nullptr: no longer kept. Offsets are those of place.state.offset and Durable::size_bytes.
  virtual std::unique_ptr<File> open_day(std::int64_t day) = 0;
  // The end of what may be read now; nullopt: no line yet. What is before `offset` of `day`, and
  // earlier days, will not be asked for again. Throws TornEnd.
  struct Limit {
    Durable durable;
    bool has_chain = true;  // whether durable.chain is known
    bool settled = true;    // else nothing says that its day is on disk: its end may be torn
  };
  virtual std::optional<Limit> limit(std::int64_t day, std::uint64_t offset) = 0;
  // Waits as Reader::wait() does.
  virtual bool wait(std::chrono::milliseconds timeout, int wake_fd) = 0;
  virtual std::optional<Away> away() const { return std::nullopt; }  // as Reader::away() says
  // The bytes from `offset` of `day` on that were not delivered yet.
  virtual std::uint64_t backlog_bytes(std::int64_t day, std::uint64_t offset) = 0;
};

}  // namespace daystream
