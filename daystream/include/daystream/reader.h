// Reads one daystream: whole, durable transactions, in order, across day files.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "daystream/manifest.h"
#include "daystream/position.h"
#include "daystream/stream.h"
#include "daystream/transaction.h"

namespace daystream {

// Where a Reader begins: after the last commit, mark or gap line at or before `position`.
//
// With `lsn`, the pair is a stored checkpoint: it counts only if the line at `position` is a commit
// or mark with that LSN; otherwise the Reader begins after the last one with an LSN <= `lsn`
// (docs/guarantees.md#resume-anywhere).
struct StartAfter {
  Position position = Position::begin();
  std::optional<Lsn> lsn;
  // A table list. A server is asked to send no others (a directory is read whole): what is
  // delivered has at least these tables' lines, and every commit that follows any of them.
  std::string tables = {};
};

// Why nothing new comes, for a person.
struct Away {
  std::string message;
  std::string hint;
  bool operator==(const Away&) const = default;
};

// Delivers whole transactions, marks and gaps; aborted transactions are passed over.
//
// Ownership:  owns its descriptors and buffer.
// Threads:    one thread per Reader; any number of Readers beside one Writer, in any process.
// Memory:     a few MiB, whatever the size of a transaction.
// Invariant:  position() never goes back.
// Checks:     positions strictly increase and have no holes within a second (but where a server has
//             left lines out, as it was asked to or must), and the CRC chain holds, on every byte
//             delivered; else Corruption with file and offset. TornEnd: another Reader may get
//             past that later.
class Reader {
 public:
  // Throws PositionGone if what follows `start` is no longer kept (the caller must re-seed: going
  // on would skip changes), IoError if there is no daystream, Corruption.
  Reader(const Stream& stream, const StartAfter& start);
  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;
  ~Reader();

  const Manifest& manifest() const noexcept;  // as it was when opened

  // The next one, or nullptr: nothing more *yet* (also while the stream is still behind the LSN of
  // a stored checkpoint). A transaction being written is "not yet". The result is valid until the
  // next call.
  Transaction* next();

  // Sleeps until there may be more than when next() said nullptr, or `timeout` has passed, or
  // `wake_fd` (-1: none) becomes readable; without polling (inotify on `durable`). True: there may
  // be more.
  bool wait(std::chrono::milliseconds timeout, int wake_fd = -1);

  // Of a stream that is read from a server: why there is none just now. It is asked again and again
  // meanwhile, inside the calls above; wait() comes back early when this begins. nullopt: nothing
  // is wrong.
  std::optional<Away> away() const;

  Position position() const noexcept;  // of the last delivery's end line, or where it began
  Lsn lsn() const noexcept;            // of the last commit or mark at or before position()
  // What is durable now and not yet delivered, in bytes.
  std::uint64_t backlog_bytes();

 private:
  friend class Transaction;
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace daystream
