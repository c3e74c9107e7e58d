// What the mirrors of a fleet report, and its way to the disk.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fleet/report_store.h"
#include "fleet/reports.h"
#include "fleet/rollout.h"
#include "program/repeats.h"
#include "serve/libevent.h"
#include "serve/workers.h"

namespace daystream::serve {

// It is written every few seconds, by one of the workers. Where it cannot be, all is as well as
// with it, but for what was before: that is logged, and the rest goes on.
//
// Threads: the loop's one. Not movable: libevent keeps its address.
class ReportKeeper {
 public:
  // `forgotten`: called for each mirror that somebody had forgotten. `workers` are to be gone
  // first.
  ReportKeeper(event_base* loop, Workers& workers, const std::filesystem::path& directory,
               std::function<void(const std::string& mirror)> forgotten);
  ReportKeeper(const ReportKeeper&) = delete;
  ReportKeeper& operator=(const ReportKeeper&) = delete;
  ~ReportKeeper();  // all is written

  // False: there are fleet::kMostMirrors already.
  bool tell(fleet::MirrorReport report) { return reports_.tell(std::move(report)); }
  fleet::FleetView view(std::uint64_t revision) const;
  // The last report of a mirror; nullptr: it has made none.
  std::shared_ptr<const fleet::MirrorReport> find(const std::string& mirror) const;
  // What became of a command at a mirror, to be written with the next reports.
  void keep(const std::string& mirror, program::CommandOutcome outcome) {
    outcomes_.emplace_back(mirror, std::move(outcome));
  }
  // Of all commands, as they were written.
  program::CommandOutcomes stored_outcomes() const noexcept;
  // What was stored, for any thread.
  std::shared_ptr<const fleet::ReportStore> store() const { return store_; }

  // How far a roll-out is, to be written with the next reports, or `at_once`.
  void keep(const fleet::RolloutProgress& progress, bool at_once) noexcept;

 private:
  fleet::MirrorReports open() noexcept;
  fleet::ReportBatch take_batch();
  void save() noexcept;

  const std::filesystem::path directory_;
  Workers& workers_;
  const std::function<void(const std::string&)> forgotten_;
  const std::shared_ptr<fleet::ReportStore> store_;
  fleet::FleetReports reports_;
  std::optional<fleet::RolloutProgress> progress_;                         // not written yet
  std::vector<std::pair<std::string, program::CommandOutcome>> outcomes_;  // the same, by mirror
  program::Repeats troubles_;
  bool saving_ = false;
  Event save_;
};

}  // namespace daystream::serve
