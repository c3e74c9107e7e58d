// A small piece of history behind a slot that can be streamed again and again.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "support/cluster.h"
#include "support/process.h"
#include "support/stream_checker.h"

namespace fault {

// A cluster with a few transactions of every kind (rows, a key change, a TOASTed value, a truncate,
// DDL, a rollback, a large one) behind a slot that nothing moves. Each try streams from a copy of
// that slot, so all tries see the same bytes from the server, as far as timing allows.
class RecordedSession {
 public:
  // `with_bulk`: with a transaction larger than what a Writer keeps in memory.
  explicit RecordedSession(bool with_bulk = false);

  support::Cluster& cluster() { return cluster_; }
  // Makes slot "try" again, at the beginning of the history.
  void fresh_slot();
  std::uint64_t confirmed_flush();  // of slot "try"

  // deltastream over the history, from slot "try", to its end and no further; `conninfo` where it
  // is not to connect directly.
  std::vector<std::string> deltastream(const std::filesystem::path& directory,
                                       const std::vector<std::string>& more = {},
                                       const std::string& conninfo = "") const;

  // What is wrong with a finished stream: damage, a transaction missing, twice, or not as an
  // undisturbed run has it. Empty: nothing.
  std::string complaint(const std::filesystem::path& directory) const;
  // The same for a prefix of it: damage, or a transaction that is not the history's next.
  std::string prefix_complaint(const support::StreamContent&) const;

 private:
  support::Cluster cluster_;
  std::string end_;  // LSN
  support::StreamContent expected_;
};

}  // namespace fault
