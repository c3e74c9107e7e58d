// Where the lines of a stream go, whether they come by a connection or by standard input: to the
// Writer, from there to the disk when a sync is due, and into the progress that is reported.
#pragma once

#include <functional>
#include <optional>

#include "daystream/writer.h"
#include "status/progress.h"
#include "write/disk_wait.h"
#include "write/flusher.h"
#include "write/housekeeper.h"
#include "write/required_copies.h"
#include "write/watermarks.h"

namespace deltastream {

// Ownership: borrows all of its parts. A sync may still run when it goes: the Flusher has it.
// Threads:   one; only the disk waits on the Flusher's.
class Sink {
 public:
  struct Parts {
    daystream::Writer& writer;
    Flusher& flusher;  // idle
    Progress& progress;
    RequiredCopies* copies = nullptr;    // nullptr: none are required
    Housekeeper* housekeeper = nullptr;  // nullptr: all is kept as it is
  };

  Sink(const Parts& parts, const Intervals& intervals);

  Watermarks& watermarks() noexcept { return watermarks_; }
  const Watermarks& watermarks() const noexcept { return watermarks_; }
  WriterState state() const;
  daystream::Lsn written() const noexcept { return written_; }  // handed to the kernel
  int fd() const noexcept { return parts_.flusher.fd(); }       // readable: a sync has ended

  // Whether the last commit was old when it came: see WriterState.
  void set_behind(bool behind) noexcept { behind_ = behind; }
  void set_housekeeper(Housekeeper* housekeeper) noexcept { parts_.housekeeper = housekeeper; }

  // Throws the IoError of a sync that failed: the Writer is of no more use then.
  void take_finished_flush();
  // When the next sync is due; nullopt: none is, or one runs.
  std::optional<Clock::time_point> next_flush() const;
  void begin_due_flush();
  void begin_flush();  // none may run

  // To be called at least once a second. `confirmed`: the sender of the lines needs nothing before
  // that any more; nullopt: that is not known.
  void look_on(std::optional<daystream::Lsn> confirmed);

  // At the end: gives up half a transaction, and waits until all else is on disk (settle()).
  void finish(const daystream::program::Signals& signals, const std::function<void()>& alive);

 private:
  Parts parts_;
  Watermarks watermarks_;
  daystream::Lsn written_;
  bool behind_ = false;
};

}  // namespace deltastream
