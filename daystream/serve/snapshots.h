// Mirrors that an operator has put into a directory, for hosts that begin with a copy of one
// (PROTOCOL.md, "Snapshots").
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "daystream/unique_fd.h"

namespace daystream::serve {

struct Snapshot {
  std::string id;  // SHA-256 of the file, hexadecimal: names of files are never sent or asked for
  std::uint64_t size_bytes = 0;
  std::int64_t time = 0;  // when the file was last changed, seconds since 1970

  bool operator==(const Snapshot&) const = default;
};

// The files DIR/*.db. They must be put there whole, by a rename. A file with a log of SQLite's
// beside it (NAME.db-wal, not empty) is in use, and left out. The SHA-256 is taken from
// NAME.db.sha256, as sha256sum writes it, where that is not older; else it is computed, once, on a
// thread of its own.
//
// Threads: all calls from one.
class Snapshots {
 public:
  explicit Snapshots(std::filesystem::path directory);
  Snapshots(const Snapshots&) = delete;
  Snapshots& operator=(const Snapshots&) = delete;

  // The newest first. `preparing`: how many are not there yet, as their SHA-256 is not known.
  std::vector<Snapshot> list(std::size_t& preparing);
  // Empty if there is none of that id.
  UniqueFd open(const std::string& id);

 private:
  struct Entry {
    std::filesystem::path path;
    std::uint64_t size_bytes;
    std::int64_t changed_ns;
  };
  std::vector<Entry> scan() const;
  std::string known_id(const Entry& entry);
  static std::string key_of(const Entry& entry);
  void work(const std::stop_token& stop);

  std::filesystem::path directory_;
  std::mutex mutex_;
  std::condition_variable_any wanted_;
  std::map<std::string, std::string> ids_;  // by key_of()
  std::vector<Entry> queue_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace daystream::serve
