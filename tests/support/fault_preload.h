// Makes the system calls of a child program fail: the test's side of libfault_preload.so.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "support/fd.h"
#include "support/temp_dir.h"

namespace support {

// What the preloaded library does is told by the environment; what happened comes back through a
// page of shared memory, which a SIGKILL of the child does not take away. The count goes on over
// restarts of the child (and in its own children), so that "once" is once in a whole scenario:
//
//   FaultPreload faults({.calls = {"fsync", "fdatasync"}, .path_prefix = dir, .at = n});
//   Process program({…}, {.env = faults.env()});
//
// Only calls whose path (or whose descriptor's file) begins with `path_prefix` count. Names of
// calls: write (with writev and pwritev), pwrite, read, pread, fsync, fdatasync, open (openat,
// creat), rename, ftruncate, unlink, link, mkdir, mmap, inotify_add_watch; and inotify_init1, which
// has no path. 64-bit and fortified spellings are the same.
class FaultPreload {
 public:
  struct Plan {
    std::vector<std::string> calls = {};
    std::string path_prefix = {};
    std::vector<std::string> except = {};  // paths with one of these in them do not count
    std::uint64_t at = 0;      // the n-th matching call fails, from 1; 0: none, only count
    bool sticky = false;       // and every one after it
    bool short_write = false;  // it writes half of its bytes instead of failing; when sticky, those
                               // after it fail: how a disk fills. Other calls than writes fail.
    int error = 5;             // errno: EIO
    std::chrono::milliseconds sync_delay{0};  // each fsync and fdatasync takes this much longer
    // Keeps sync_log(): which file was whole on disk up to where, in the order of the syncs.
    bool log_syncs = false;
    // Files with this in their name are kept as they were at their last sync: synced_copy().
    std::string keep_synced = {};
    bool open_for_write_only = true;  // `open` counts only what may write or create
  };
  // What a successful fsync or fdatasync made durable: the file's size when the call began.
  struct Sync {
    std::string path;
    std::uint64_t size_bytes = 0;
  };

  // The same for a program that runs: the `in`-th matching call from now on.
  struct Strike {
    std::uint64_t in = 1;
    bool sticky = false;
    bool short_write = false;
    int error = 5;
  };

  explicit FaultPreload(const Plan&);
  ~FaultPreload();
  FaultPreload(const FaultPreload&) = delete;
  FaultPreload& operator=(const FaultPreload&) = delete;

  std::vector<std::pair<std::string, std::string>> env() const;
  std::uint64_t matched() const;  // calls that the plan speaks of, so far
  std::uint64_t struck() const;   // of these, made to fail or cut short
  void arm(const Strike&);        // in place of what the plan, or the last strike, says
  void heal();                    // from now on nothing fails, also in a child that runs
  std::vector<Sync> sync_log() const;
  // Of a file that keep_synced names, whatever its folder; the path may lead to nothing: it was
  // never synced.
  std::filesystem::path synced_copy(const std::filesystem::path& file) const;
  std::size_t sync_count() const;  // its size, without the cost of a copy; from any thread

 private:
  Plan plan_;
  TempDir dir_;
  struct Shared;
  Shared* shared_ = nullptr;

  void read_log() const;  // what the file has more than log_; with log_mutex_ held
  mutable std::mutex log_mutex_;
  mutable std::vector<Sync> log_;
  mutable std::uint64_t log_offset_ = 0;
};

}  // namespace support
