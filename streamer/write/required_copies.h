// --require-copies: how much of the stream so many relays have on their disks.
#pragma once

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "daystream/lsn.h"
#include "daystream/unique_fd.h"

namespace deltastream {

// Reads `copies.json`, which `daystream serve --record-copies` keeps in the daystream's directory:
// for each relay the last line that it has proven to have on disk. That stays true unless the
// relay's disk is lost, so an old file, or none, only makes us wait longer:
//
//   1. a relay syncs up to a line, then reports the line and its CRC to its server;
//   2. the server looks whether it has that very line, and writes the line's LSN into the file;
//   3. we confirm to PostgreSQL the Nth largest of these LSNs, or less.
//
// Threads: one.
class RequiredCopies {
 public:
  // `count` 0: none is required. Throws IoError where the directory cannot be watched.
  RequiredCopies(std::filesystem::path directory, unsigned count);

  // PostgreSQL has a confirmation of `lsn` already, and a confirmation cannot be taken back.
  void told_before(daystream::Lsn lsn) noexcept { reached_ = std::max(reached_, lsn); }
  // What that many relays have, 0/0: nothing; nullopt: none is required. Never goes back.
  std::optional<daystream::Lsn> reached() const noexcept;
  // Looks again if the file was replaced. To be called whenever fd() is readable.
  void refresh();
  int fd() const noexcept { return inotify_.get(); }  // -1: none is required

  // Says when the copies have been behind `flushed` for long, and when they no longer are.
  void tell(daystream::Lsn flushed);
  // "2 copies required: of 1 is known that it has …"; empty: nothing is waited for.
  std::string waiting_for(daystream::Lsn flushed) const;

 private:
  void load();

  std::filesystem::path directory_;
  unsigned count_;
  daystream::UniqueFd inotify_;
  daystream::Lsn reached_;
  std::size_t known_ = 0;
  std::optional<std::chrono::steady_clock::time_point> behind_since_;
  bool told_ = false;
};

}  // namespace deltastream
