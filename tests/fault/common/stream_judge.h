// Judges a daystream of Workload's transactions against what its clients know.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/workload.h"
#include "support/fault_preload.h"
#include "support/stream_checker.h"

namespace fault {

// A reading of the slot, and how many syncs had been logged by then (read after the slot).
struct ConfirmedSample {
  std::uint64_t confirmed = 0;
  std::size_t sync_count = 0;
};

// Samples a slot's confirmed_flush_lsn in a thread of its own, about `per_second` times a second,
// while there is a server to ask.
class ConfirmedSampler {
 public:
  ConfirmedSampler(const std::string& conninfo, const std::string& slot,
                   const support::FaultPreload&, int per_second = 50);
  ~ConfirmedSampler();  // stops
  std::vector<ConfirmedSample> stop();

 private:
  void run(const std::string& conninfo, const std::string& slot, int per_second);
  const support::FaultPreload& faults_;
  std::atomic<bool> stop_{false};
  std::vector<ConfirmedSample> samples_;
  std::thread thread_;
};

// The first sample of a slot that was past what was on disk then; empty: none. `content` is the
// whole stream, whose lines stay where they were once they were synced.
std::string unsafe_confirmation(const std::vector<ConfirmedSample>& samples,
                                const std::vector<support::FaultPreload::Sync>& syncs,
                                const support::StreamContent& content);

// n of each class A transaction of the stream, by its commit's LSN; and which ledger rows are
// there.
struct StreamedLedger {
  std::map<std::uint64_t, std::int64_t> n_by_lsn;
  std::map<std::int64_t, int> count_by_txid;
};
StreamedLedger streamed_ledger(const support::StreamContent& content);
// The lines it looks at, for StreamCheckOptions::keep.
bool is_ledger_line(std::string_view line);

// I1 and I2: what is wrong, empty: nothing. An ok transaction that is missing, a failed one that is
// there, one that is there twice, an n that is not the next one.
std::string ledger_complaint(const StreamedLedger& streamed,
                             const std::map<std::int64_t, Outcome>& log);

}  // namespace fault
