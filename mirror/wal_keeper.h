// Keeps a mirror's write-ahead log from growing without bound.
#pragma once

#include <chrono>
#include <cstdint>

#include "sqlite.h"

namespace deltamirror {

// SQLite checkpoints by itself every few MiB, but cannot begin the log anew while a reader stands
// in it: then it grows. Asks for it now and then without ever waiting for anybody, and tells a
// person when a reader keeps it large.
class WalKeeper {
 public:
  explicit WalKeeper(Database& db) : db_(db) {}
  void after_commit();

 private:
  Database& db_;
  std::chrono::steady_clock::time_point looked_{};
  std::chrono::steady_clock::time_point large_since_{};
  std::chrono::steady_clock::time_point told_{};
  bool large_ = false;
};

std::uint64_t file_size(const std::string& path) noexcept;  // 0: no such file

}  // namespace deltamirror
