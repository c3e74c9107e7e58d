// Writes one daystream. The only thing that does; `durable` and the day files are its alone.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daystream/lsn.h"
#include "daystream/manifest.h"
#include "daystream/position.h"

namespace daystream {

class Dir;  // how tests let the disk fail; not installed

// What a mark says beside its LSN. Left out: what is not known cheaply.
struct MarkFacts {
  std::optional<std::uint32_t> timeline;
  std::optional<std::uint64_t> next;  // read after the mark's LSN was received
  // After the verb, as key and value, unescaped: the effective filter, at a connection's begin.
  std::vector<std::pair<std::string, std::string>> holds;
  // Before the verb, as key and value, unescaped: for readers that know these keys.
  std::vector<std::pair<std::string, std::string>> leading_fields = {};
};

struct WriterOptions {
  // Asked for when a new day's first line, which is a mark, is due.
  std::function<MarkFacts()> day_mark;
  // Seconds since 1970 UTC, asked for with the `_c` of the last line (-1: there is none); tests
  // replace it. A clock that steps back is no problem.
  std::function<std::int64_t(std::int64_t last_c)> clock;
  std::size_t buffer_bytes = 1024 * 1024;  // what waits in memory at most, but one line
  std::size_t block_bytes = 256 * 1024;    // between syncs files grow by multiples of it
  std::shared_ptr<Dir> dir;                // instead of the directory itself: for tests
};

// What opening a daystream found to mend. Nothing that was durable is ever cut.
struct Recovery {
  std::string cut_file;  // empty: nothing was cut
  std::uint64_t cut_at_bytes = 0;
  std::uint64_t cut_bytes = 0;
  std::string cut_reason;                    // "a half line", …
  std::optional<std::uint32_t> aborted_xid;  // the transaction that was ended with `abort`
};

// Ownership:  owns its descriptors, buffers and the directory's lock (flock), until destroyed.
// Threads:    one thread calls everything, except Flush::run(), which may run on any one other.
// Errors:     IoError, after which the Writer is unusable: leave and open again (recovery). A full
//             disk is no exception to this.
// Watermarks: received >= written >= flushed; flushed() alone may be confirmed to PostgreSQL.
class Writer {
 public:
  // Makes the directory and manifest if there is none, locks it, recovers. `wanted` names the
  // source: WrongSource if the directory belongs to another cluster, database or slot.
  // `confirmed_flush` is the slot's, where there is one. Throws Error naming the holder if another
  // Writer has it.
  //
  // Recovery (docs/guarantees.md#nothing-twice): from the later of `durable` and the last commit
  // <= `confirmed_flush` the chain is checked, those bytes are written again and synced, a damaged
  // or half tail is cut, an unfinished transaction gets its `abort`. All is durable when the
  // constructor returns.
  Writer(const std::filesystem::path& directory, const Manifest& wanted,
         std::optional<Lsn> confirmed_flush, WriterOptions options);
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer();

  const Manifest& manifest() const noexcept;
  const Recovery& recovery() const noexcept;
  bool empty() const noexcept;  // no line yet: a first mark is due

  // Appends lines as they came: one or more, a newline between them, none at the end. The first
  // line opens a transaction, its commit line ends it. A transaction whose commit LSN is not past
  // last_lsn() has been here before: it is dropped (or ended with `abort` where part of it is
  // written already). Throws ProtocolError on text that is not deltaflood lines.
  void append(std::string_view lines);
  bool in_transaction() const noexcept;
  // Ends the open transaction, if any, with an `abort` line: the connection broke, it comes again.
  void abort();
  // Neither may be called with a transaction open.
  void mark(Lsn lsn, const MarkFacts& facts);
  // `leading_fields`: as those of a mark.
  void gap(Lsn old_slot_end,
           const std::vector<std::pair<std::string, std::string>>& leading_fields = {});

  Lsn last_lsn() const noexcept;    // of the last commit or mark appended
  bool after_gap() const noexcept;  // the last line is a gap: a slot may begin anywhere behind it
  Position position() const noexcept;  // of the last line appended
  // When the last transaction that came was committed, by the server's clock: microseconds since
  // 1970; 0: none since the Writer was made, or its commit line does not say.
  std::int64_t last_commit_time_us() const noexcept;
  Lsn flushed() const noexcept;  // of the last commit or mark known to be on disk
  Position flushed_position() const noexcept;
  bool dirty() const noexcept;  // something appended is not covered by a finished flush
  std::uint64_t appended_bytes() const noexcept;  // since the Writer was made
  std::uint64_t appended_lines() const noexcept;

  // Throws NeedsPerson where the directory's name leads to something else by now, or to nothing: it
  // was moved, deleted or replaced, and nobody would see what is written. It looks once a second at
  // most, and begin_flush() does so too. Call this while nothing is written for long.
  void check_place();

  // Hands buffered lines to the kernel. Called by append() when the buffer is large. The lines of
  // an open transaction wait for its commit as long as they fit (buffer_bytes), so that one that
  // has been here before leaves no trace; dirty() and begin_flush() do not count what waits.
  void write_out();

  // A group commit in three steps, so that receiving goes on while the disk works:
  //   flush = writer.begin_flush();   writes out; covers everything appended so far
  //   flush.run();                    on any thread: fdatasync, then `durable`; throws IoError
  //   writer.finish_flush(flush);     flushed() moves; a Flush whose run() threw is never finished
  class Flush {
   public:
    void run();
    struct Work;

   private:
    friend class Writer;
    std::shared_ptr<Work> work_;
  };
  Flush begin_flush();
  void finish_flush(const Flush&);
  void flush();  // all three

  // Closes its files and lets go of the directory until something is written next, for a process
  // that has more Writers than it may have files open. All must be flushed. To go on throws Error
  // where another Writer has the directory then, and NeedsPerson where one has written to it
  // meanwhile.
  void release_files();

  // Adds to the manifest what the stream holds from here on, if that has changed.
  void declare_holding(const Holding&);
  // The same for how much of it is kept; nullopt: all.
  void declare_keeping(std::optional<std::uint64_t> days, std::optional<std::uint64_t> bytes);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace daystream
