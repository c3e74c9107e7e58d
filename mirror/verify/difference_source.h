// Which rows of a running mirror differ from PostgreSQL's, found on a thread of its own: its owner
// goes on following meanwhile.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "daystream/unique_fd.h"
#include "program/program.h"
#include "seed/live_copy.h"
#include "seed/seed_session.h"
#include "values/owned_value.h"
#include "verify/row_compare.h"

namespace deltamirror {

// Too much differs for it to be worth while to write row by row, or it cannot be told which.
class TooDifferent : public daystream::Error {
 public:
  using Error::Error;
};

struct DifferentRow {
  std::size_t table = 0;  // index into Differences::tables
  std::vector<OwnedValue> key;
  std::vector<OwnedValue> row;  // PostgreSQL's; empty: it has none
};

// As of one snapshot, which replay joins after `seam`.
struct Differences {
  std::vector<MirroredTable> tables;
  std::string system_identifier;
  Snapshot snapshot;
  daystream::Lsn consistent_at;
  daystream::Seam seam{};
  std::vector<DifferentRow> rows;
};

// Threads: one at a time may use the object; its own thread is inside.
// Memory:  at most 64 MiB of rows that differ.
class DifferenceSource {
 public:
  // Compares the tables of the request, by a read-only connection of its own. All must be in the
  // mirror already, and have a key.
  DifferenceSource(LiveSeedRequest request, const daystream::program::Signals& signals);
  DifferenceSource(const DifferenceSource&) = delete;
  DifferenceSource& operator=(const DifferenceSource&) = delete;
  ~DifferenceSource();  // cancels what the server does for us

  int fd() const noexcept { return fd_.get(); }  // readable once it is over
  // nullopt: not yet. Throws what went wrong, TooDifferent too.
  std::optional<Differences> try_take();
  std::uint64_t rows() const noexcept { return rows_; }  // compared so far

 private:
  Differences run(const LiveSeedRequest& request, const daystream::program::Signals& signals);

  daystream::UniqueFd fd_;  // eventfd
  std::atomic<std::uint64_t> rows_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  SeedSession* session_ = nullptr;  // while it lives on the thread
  std::optional<Differences> found_;
  std::exception_ptr error_;
  bool stop_ = false;
  bool done_ = false;
  std::thread thread_;  // last: starts when all else is there
};

}  // namespace deltamirror
