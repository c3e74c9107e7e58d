// What the mirrors of a fleet report of themselves, and the one judgement of it that the page,
// /metrics, `daystream fleet status` and a roll-out share (docs/fleet.md#reports).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "program/command_outcome.h"
#include "program/labels.h"

namespace daystream::fleet {

using program::Labels;

// A mirror reports at least every 10 s (mirror/owner/fleet_report.cpp).
constexpr std::int64_t kMirrorSilentS = 35;
// One that has been silent for so long is no more.
constexpr std::int64_t kMirrorGoneS = 7 * 86400;
constexpr std::size_t kMostReportBytes = 32 * 1024;
constexpr std::size_t kMostMirrors = 20'000;

struct MirrorReport {
  std::string name;
  std::int64_t told_at = 0;  // seconds since 1970
  std::string state;         // well, copying, trouble, refused or stopped, as it says itself
  std::string trouble;       // the first; empty: none
  std::optional<std::uint64_t> revision;  // in force
  std::optional<std::uint64_t> wanted;
  std::string refusal;  // why the wanted one is not in force
  Labels labels;
  std::string host;
  std::optional<double> lag_seconds;
  std::vector<std::string> accepts;               // the kinds of commands that its host does
  std::vector<program::CommandOutcome> outcomes;  // of the last ones
  std::string text;                               // all of it: a line of JSON
  std::size_t news = 0;                           // the same: nothing else is news in it
};
using MirrorReports = std::map<std::string, std::shared_ptr<const MirrorReport>>;  // by name

// nullopt: it is none.
std::optional<MirrorReport> parse_report(const std::string& name, const std::string& text,
                                         std::int64_t told_at);

// A moment in the life of a mirror.
struct ReportEvent {
  std::string mirror;
  std::int64_t at = 0;
  std::string state;
  std::optional<std::uint64_t> revision;
  std::string trouble;
};

// All that is known at one time. To be handed to another thread.
struct FleetView {
  std::vector<std::shared_ptr<const MirrorReport>> mirrors;  // by name
  std::int64_t now = 0;
  std::int64_t listening_since = 0;  // none is missed before it could be heard
  std::uint64_t revision = 0;        // the newest that is offered
  std::shared_ptr<const nlohmann::ordered_json> rollout = {};  // of it; nullptr: it goes to all
  // The newest (fleet/commands.h); nullptr: they are not for who looks.
  std::shared_ptr<const nlohmann::ordered_json> commands = {};

  // As it says, or `silent`.
  std::string state_of(const MirrorReport& mirror) const;
  // Why somebody should look at it; empty: nobody need.
  std::string trouble_of(const MirrorReport& mirror) const;
  std::map<std::string, std::size_t> states() const;                      // how many of each
  std::map<std::optional<std::uint64_t>, std::size_t> revisions() const;  // that are in force
  std::size_t in_trouble() const;

  // For who may see only some: nothing is left that tells of others.
  void keep_only(const std::function<bool(const std::string& mirror)>& may_be_seen);
};

struct FleetQuery {
  std::string search;  // in names, labels (KEY=VALUE), hosts, states and troubles; empty: all
  std::optional<std::size_t> most;  // of the mirrors that are named
};
// {time, revision, rollout, commands, states, revisions, mirrors, left_out}: those in trouble
// first.
nlohmann::ordered_json fleet_json(const FleetView& view, const FleetQuery& query);

// What is to be stored.
struct ReportBatch {
  std::vector<std::shared_ptr<const MirrorReport>> reports;
  std::vector<std::pair<std::string, std::int64_t>> heard;
  std::vector<ReportEvent> events;
  std::vector<std::string> gone;
  std::vector<std::pair<std::string, program::CommandOutcome>> outcomes = {};  // by mirror
  bool empty() const noexcept { return heard.empty() && gone.empty() && outcomes.empty(); }
};

// Threads: one.
class FleetReports {
 public:
  FleetReports(MirrorReports known, std::int64_t now);

  // False: there are kMostMirrors already.
  bool tell(MirrorReport report);
  // Unless it was heard since.
  void forget(const std::string& mirror, std::int64_t at);
  const MirrorReports& all() const noexcept { return reports_; }
  std::uint64_t count() const noexcept { return count_; }  // since it began
  FleetView view(std::int64_t now, std::uint64_t revision) const;
  // What was told since the last call. A report that says nothing new is stored now and then only.
  ReportBatch take_batch(std::int64_t now);

 private:
  MirrorReports reports_;
  std::int64_t listening_since_;
  std::uint64_t count_ = 0;
  std::map<std::string, std::int64_t> stored_at_;
  ReportBatch batch_;
  std::map<std::string, bool> told_;  // since the last batch; true: it says something new
};

}  // namespace daystream::fleet
