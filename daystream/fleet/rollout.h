// A revision that goes out in steps: to one mirror, to some, to all, each step once those before
// have it and are well (docs/fleet.md#roll-out-in-steps).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "fleet/reports.h"

namespace daystream::fleet {

// What people ask for: revisions/N.rollout.json, there before revision N is.
struct RolloutPlan {
  std::uint64_t from = 0;  // the revision that the others have meanwhile
  std::vector<std::string> steps =
      {};  // a number of mirrors, a share of them as "5%", at last "all"
  std::int64_t healthy_seconds = 10;
  // The last of the orders that somebody gave since: to stop, or to go on.
  std::uint64_t order = 0;
  bool order_is_stop = false;
  std::string order_by = {};
};

// "1,5%,all"; the last step is always all. Throws ConfigError.
std::vector<std::string> parse_steps(const std::string& text);

// How far it is: reports/rollout.json, of the server alone.
struct RolloutProgress {
  std::uint64_t revision = 0;
  std::size_t step = 0;           // that is going on
  std::string state = "running";  // stopped, done
  std::string reason;             // why it does not go on, or what it waits for; empty: neither
  std::uint64_t order = 0;        // the last one that was carried out
  std::set<std::string> mirrors;  // to whom the revision is offered; all of them in the last step
  std::set<std::string> passed;   // of them: those whose trouble somebody has seen, and goes on

  bool is_done() const noexcept { return state == "done"; }
  bool operator==(const RolloutProgress&) const = default;
};

// nullopt: there is none. Throws NeedsPerson where it is damaged: the revision is not for all.
std::optional<RolloutPlan> load_plan(const std::filesystem::path& fleet, std::uint64_t revision);
void save_plan(const std::filesystem::path& fleet, std::uint64_t revision,
               const RolloutPlan& plan);  // throws IoError
void remove_plan(const std::filesystem::path& fleet, std::uint64_t revision) noexcept;
// nullopt: there is none, or none that can be read.
std::optional<RolloutProgress> load_progress(const std::filesystem::path& fleet);
void save_progress(const std::filesystem::path& fleet, const RolloutProgress& progress);  // IoError
// {revision, from, steps, step, state, reason, mirrors}, for people.
nlohmann::ordered_json to_json(const RolloutPlan& plan, const RolloutProgress& progress);

// Decides, and touches nothing.
//
// Threads: one.
class Rollout {
 public:
  // `progress`: of another revision: it begins.
  Rollout(std::uint64_t revision, RolloutPlan plan, std::optional<RolloutProgress> progress);

  const RolloutPlan& plan() const noexcept { return plan_; }
  const RolloutProgress& progress() const noexcept { return progress_; }
  bool is_done() const noexcept { return progress_.is_done(); }
  // Whether the mirror gets the new revision; else it gets `from`.
  bool offers(const std::string& mirror) const;

  // What somebody has ordered meanwhile.
  void hear(RolloutPlan plan);
  // The mirror is no more: nobody waits for it.
  void forget(const std::string& mirror);
  // Looks at the mirrors. `is_changed`: whether the new revision gives the mirror something else
  // than the one before.
  using IsChanged = std::function<bool(const MirrorReport&)>;
  void look(const FleetView& view, const IsChanged& is_changed);

 private:
  bool is_last_step() const { return progress_.step + 1 >= plan_.steps.size(); }
  void begin_step(const FleetView& view, const IsChanged& is_changed);
  void carry_out_order(const FleetView& view);
  std::string wrong_with(const FleetView& view, const MirrorReport& mirror);
  void next_step();

  RolloutPlan plan_;
  RolloutProgress progress_;
  bool is_chosen_ = false;  // progress_.mirrors are those of this step
  std::optional<std::int64_t> well_since_;
  std::map<std::string, std::int64_t> wrong_since_;
};

}  // namespace daystream::fleet
