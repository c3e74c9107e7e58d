// The PostgreSQL side of a live seed, on a thread of its own: the owner of a mirror goes on
// following while the server sends.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "config/config.h"
#include "daystream/unique_fd.h"
#include "program/program.h"
#include "seed/seed_session.h"
#include "values/row_batch.h"

namespace deltamirror {

// What a session has found out once its snapshot is there.
struct LiveSnapshot {
  std::vector<SeedTable> tables;
  SourceServer server;
  Snapshot snapshot;
  daystream::Lsn consistent_at;
  daystream::Seam seam{};
  TypeNames types;
  std::vector<TableProblem> problems;  // of tables that are passed over
};

// One table could not be copied: the others have to be begun again without it.
class CopyFailed : public daystream::Error {
 public:
  CopyFailed(const daystream::Error& error, std::string name)
      : Error(error.what(), error.hint()), name_(std::move(name)) {}
  const std::string& name() const noexcept { return name_; }

 private:
  std::string name_;
};

// Rows of one table, converted.
struct LiveRows {
  std::size_t table = 0;  // index into LiveSnapshot::tables
  RowBatch rows;
};

// All rows are there, and what the snapshot saw is flushed: it cannot be undone any more.
struct LiveEnd {};

using LiveItem = std::variant<LiveSnapshot, LiveRows, LiveEnd>;

// Threads: one at a time may use the object; its own thread is inside.
// Memory:  a few batches of about 256 KiB (and a row is held whole).
class LiveSource {
 public:
  // Connects, and all else, on its thread: what is wrong comes out of try_next().
  LiveSource(std::string conninfo, std::filesystem::path daystream, MirrorConfig config,
             Unfit unfit, const daystream::program::Signals& signals);
  LiveSource(const LiveSource&) = delete;
  LiveSource& operator=(const LiveSource&) = delete;
  ~LiveSource();  // cancels what the server does for us

  // Readable once try_next() may have something.
  int fd() const noexcept { return fd_.get(); }
  // In order: LiveSnapshot, LiveRows…, LiveEnd; nullopt: nothing yet. Throws what went wrong.
  std::optional<LiveItem> try_next();

 private:
  void run(const std::string& conninfo, const std::filesystem::path& daystream,
           const MirrorConfig& config, Unfit unfit, const daystream::program::Signals& signals);
  void copy(SeedSession& session, const SeedTable& table, std::size_t number);
  void hand_over(LiveItem item);
  void check_stop() const;

  daystream::UniqueFd fd_;  // eventfd
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<LiveItem> items_;
  SeedSession* session_ = nullptr;  // while it lives on the thread
  std::exception_ptr error_;
  bool stop_ = false;
  bool done_ = false;
  std::thread thread_;  // last: starts when all else is there
};

}  // namespace deltamirror
