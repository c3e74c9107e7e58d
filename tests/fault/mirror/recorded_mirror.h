// A daystream with a history, and a mirror seeded at its beginning, to replay again and again.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "common/workload.h"
#include "support/cluster.h"
#include "support/stream_checker.h"
#include "support/temp_dir.h"

namespace fault {

class RecordedMirror {
 public:
  // `ok_transactions` at least are in the history.
  RecordedMirror(std::uint64_t ok_transactions, std::uint64_t seed);

  support::Cluster& cluster() { return cluster_; }
  std::filesystem::path daystream() const { return dir_ / "daystream"; }

  // The mirror as it was seeded, alone in folder `into`.
  std::filesystem::path fresh_copy(const std::filesystem::path& into) const;
  // deltamirror from there to the end of the daystream.
  std::vector<std::string> replay(const std::filesystem::path& mirror) const;
  std::vector<std::string> seed(const std::filesystem::path& mirror) const;

  // What is wrong with a mirror that is at the end: rows that differ, damage.
  std::vector<std::string> complaints(const std::filesystem::path& mirror);
  // What is wrong with one that is anywhere in between: then it still is a state PostgreSQL had.
  static std::vector<std::string> state_complaints(const std::filesystem::path& mirror);

 private:
  support::TempDir dir_;
  support::Cluster cluster_;
  Workload workload_;
};

// 0 before anything is replayed.
std::int64_t mirror_n(const std::filesystem::path& mirror);

}  // namespace fault
