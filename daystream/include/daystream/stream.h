// A daystream that can be read, wherever it is: in a directory of this machine, or behind an
// address such as `https://stream1:8447/prod`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daystream/lsn.h"
#include "daystream/manifest.h"
#include "daystream/position.h"

namespace daystream {

class Dir;
class ReaderSource;

// The last commit or mark line that has a `_next` <= the `xmin` of a snapshot: where the replay of
// a seed begins (docs/guarantees.md#the-exact-seam-of-a-seed).
struct Seam {
  Position position;
  Lsn lsn;
  std::uint64_t next;
};

// First and last line of what is kept and durable.
struct Extent {
  Position first;
  Position last;
  Lsn last_lsn;  // of the last commit or mark
};

// What a stream holds, and who writes it. As JSON it is what `daystream info --json` prints.
struct StreamInfo {
  struct Point {
    Position position;
    Lsn lsn;  // of the last commit or mark at or before it
  };
  struct Day {
    std::string file;
    std::uint64_t size_bytes = 0;    // what may be read of it
    std::uint64_t stored_bytes = 0;  // what that takes on disk
  };
  // How fast the stream has grown in the newest minutes, up to now.
  struct Rate {
    std::int64_t seconds = 0;  // what it was measured over
    double bytes = 0;          // per second, as the others
    double lines = 0;
    double transactions = 0;
  };
  // Only for readers that may read all tables.
  struct Whole {
    std::optional<std::string> writer;  // nullopt: none on the machine that has the files
    std::vector<Day> days;              // oldest first
    std::uint64_t size_bytes = 0;       // of all days
    std::uint64_t stored_bytes = 0;
    Rate rate;
  };

  Manifest manifest;
  std::optional<Point> first;    // the first end line that is kept; nullopt: no line yet
  std::optional<Point> last;     // the last end line
  std::optional<Point> durable;  // what `durable` says; nullopt: there is none that can be read
  std::optional<Whole> whole;    // nullopt: we may read some tables only
};

// Names a daystream, and answers what can be asked of it without reading it through; a Reader reads
// it. Each question looks again: nothing is kept open.
//
// Value:    copies name the same stream; they are cheap. An empty one names none, and may only be
//           compared with that.
// Threads:  any number at once.
// Errors:   each question throws IoError where there is no daystream, Corruption, and over a
//           network ConnectionLost, ProtocolError and what the other side refuses.
class Stream {
 public:
  class Impl;  // a kind of stream (src/stream_impl.h)

  Stream() = default;
  // A directory of this machine. Throws ConfigError where it is spelt as an address, which
  // StreamKinds opens.
  Stream(const std::filesystem::path& directory);  // NOLINT(google-explicit-constructor)
  explicit Stream(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

  explicit operator bool() const noexcept { return impl_ != nullptr; }

  const std::string& address() const;    // as it was given: for messages
  std::string absolute_address() const;  // the same from any working directory: to be stored
  // Where the files are; nullopt: not on this machine.
  std::optional<std::filesystem::path> directory() const;

  // The address of a server that also hears how far copies of it are, and may have snapshots of
  // mirrors (serve/PROTOCOL.md); nullopt: this kind of stream has none.
  std::optional<std::string> server() const;

  Manifest manifest() const;
  std::optional<Extent> extent() const;  // nullopt: no line yet
  // Found by binary search; nullopt: no line is old enough.
  std::optional<Seam> find_seam(std::uint64_t xmin) const;
  // The timeline that the server of the newest lines is on: two servers that were one may both go
  // on after a fail-over, and only one of them is where the stream comes from. nullopt: no mark
  // names one, as in a stream that came through a pipe. Read from the back; every mark of
  // deltastream names it.
  std::optional<std::uint32_t> timeline() const;
  // The position after which the last `commits` transactions stand; nullopt: there are no more than
  // that. Read from the back, so that it costs what it counts.
  std::optional<Position> before_last(std::uint64_t commits) const;
  StreamInfo info() const;

 private:
  friend class Reader;
  friend std::shared_ptr<Dir> files_of(const Stream& stream);
  friend std::unique_ptr<ReaderSource> reader_source_of(const Stream& stream);
  std::shared_ptr<const Impl> impl_;
};

// The kinds of streams that a program reads, by the scheme of their addresses: what stands before
// "://". Without one an address is a directory, which every program reads.
class StreamKinds {
 public:
  using Open = std::function<Stream(const std::string& address)>;
  // `older`: the address of where the days are that are no longer in `live`.
  using Join = std::function<Stream(const Stream& live, const std::string& older)>;

  void add(const std::string& scheme, Open open) { kinds_[scheme] = std::move(open); }
  // What may stand behind another address, and a "+".
  void add_behind(const std::string& scheme, Join join) { joins_[scheme] = std::move(join); }
  // Asks nothing of the stream yet. Throws ConfigError where no kind has that scheme, or the
  // address cannot be one of its kind.
  Stream open(const std::string& address) const;

 private:
  std::map<std::string, Open> kinds_;
  std::map<std::string, Join> joins_;
};

}  // namespace daystream
