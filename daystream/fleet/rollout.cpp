#include "fleet/rollout.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "crc32c.h"
#include "daystream/error.h"
#include "dir.h"
#include "fleet/fleet.h"
#include "fleet/report_store.h"
#include "json_text.h"
#include "number.h"
#include "program/figures.h"
#include "program/json.h"

namespace daystream::fleet {

using nlohmann::json;
using nlohmann::ordered_json;

namespace {

constexpr const char* kAll = "all";
constexpr const char* kProgressName = "rollout.json";
// A trouble that is over sooner stops nothing: a connection that is made again, say.
constexpr std::int64_t kPatienceS = 10;

std::string plan_name(std::uint64_t revision) {
  return fmt::format("{}.rollout.json", revision);
}

std::optional<std::uint64_t> share_of(const std::string& step) {
  if (!step.ends_with('%')) return std::nullopt;
  return parse_number<std::uint64_t>(step.substr(0, step.size() - 1));
}

// How many of so many a step is about.
std::size_t target_of(const std::string& step, std::size_t all) {
  if (step == kAll) return all;
  if (const auto share = share_of(step)) return (all * *share + 99) / 100;
  return std::min<std::size_t>(all, parse_number<std::uint64_t>(step).value_or(1));
}

std::optional<json> load_json(const std::filesystem::path& folder, const std::string& name) {
  std::error_code error;
  if (!std::filesystem::exists(folder / name, error)) return std::nullopt;
  const auto file = real_dir(folder)->open(name);
  if (!file) return std::nullopt;
  json root = program::parse_json<json>(read_whole(*file));
  return root.is_object() ? std::optional(std::move(root)) : std::nullopt;
}

}  // namespace

std::vector<std::string> parse_steps(const std::string& text) {
  std::vector<std::string> steps;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string step = text.substr(at, end - at);
    at = end + 1;
    const auto share = share_of(step);
    const auto number = parse_number<std::uint64_t>(step);
    const bool is_right = share ? *share > 0 && *share <= 100 : number && *number > 0;
    if ((step != kAll && !is_right) || (!steps.empty() && steps.back() == kAll)) {
      throw ConfigError(fmt::format("\"{}\" are no steps of a roll-out", text),
                        "write them as 1,5%,all: numbers of mirrors, shares of them, at last all");
    }
    steps.push_back(step);
  }
  if (steps.back() != kAll) steps.emplace_back(kAll);
  return steps;
}

std::optional<RolloutPlan> load_plan(const std::filesystem::path& fleet, std::uint64_t revision) {
  const std::filesystem::path folder = fleet / FleetDirectory::kRevisions;
  std::error_code error;
  if (!std::filesystem::exists(folder / plan_name(revision), error)) return std::nullopt;
  const NeedsPerson damaged(
      fmt::format("roll-out \"{}\" is damaged", (folder / plan_name(revision)).string()),
      "remove it, and publish again");
  const auto root = load_json(folder, plan_name(revision));
  if (!root) throw damaged;
  try {
    RolloutPlan plan;
    plan.from = root->at("from").get<std::uint64_t>();
    plan.steps = root->at("steps").get<std::vector<std::string>>();
    plan.healthy_seconds = root->at("healthy_seconds").get<std::int64_t>();
    plan.order = root->at("order").get<std::uint64_t>();
    plan.order_is_stop = root->at("order_is_stop").get<bool>();
    plan.order_by = root->at("order_by").get<std::string>();
    if (plan.steps.empty()) throw damaged;
    return plan;
  } catch (const json::exception&) {
    throw damaged;
  }
}

void save_plan(const std::filesystem::path& fleet, std::uint64_t revision,
               const RolloutPlan& plan) {
  replace_file(*real_dir(fleet / FleetDirectory::kRevisions), plan_name(revision),
               json_page(ordered_json{{"from", plan.from},
                                      {"steps", plan.steps},
                                      {"healthy_seconds", plan.healthy_seconds},
                                      {"order", plan.order},
                                      {"order_is_stop", plan.order_is_stop},
                                      {"order_by", plan.order_by}}));
}

void remove_plan(const std::filesystem::path& fleet, std::uint64_t revision) noexcept {
  unlink((fleet / FleetDirectory::kRevisions / plan_name(revision)).c_str());
}

std::optional<RolloutProgress> load_progress(const std::filesystem::path& fleet) {
  const auto root = load_json(fleet / ReportStore::kFolder, kProgressName);
  if (!root) return std::nullopt;
  try {
    RolloutProgress progress;
    progress.revision = root->at("revision").get<std::uint64_t>();
    progress.step = root->at("step").get<std::size_t>();
    progress.state = root->at("state").get<std::string>();
    progress.reason = root->at("reason").get<std::string>();
    progress.order = root->at("order").get<std::uint64_t>();
    progress.mirrors = root->at("mirrors").get<std::set<std::string>>();
    progress.passed = root->at("passed").get<std::set<std::string>>();
    return progress;
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

void save_progress(const std::filesystem::path& fleet, const RolloutProgress& progress) {
  replace_file(*real_dir(fleet / ReportStore::kFolder), kProgressName,
               json_page(ordered_json{{"revision", progress.revision},
                                      {"step", progress.step},
                                      {"state", progress.state},
                                      {"reason", progress.reason},
                                      {"order", progress.order},
                                      {"mirrors", progress.mirrors},
                                      {"passed", progress.passed}}));
}

ordered_json to_json(const RolloutPlan& plan, const RolloutProgress& progress) {
  ordered_json out;
  out["revision"] = progress.revision;
  out["from"] = plan.from;
  out["steps"] = plan.steps;
  out["step"] = plan.steps.at(std::min(progress.step, plan.steps.size() - 1));
  out["state"] = progress.state;
  out["reason"] = progress.reason.empty() ? ordered_json() : ordered_json(progress.reason);
  out["mirrors"] = progress.mirrors.size();
  return out;
}

Rollout::Rollout(std::uint64_t revision, RolloutPlan plan, std::optional<RolloutProgress> progress)
    : plan_(std::move(plan)) {
  if (progress && progress->revision == revision) {
    progress_ = std::move(*progress);
    is_chosen_ = !progress_.mirrors.empty();
  }
  progress_.revision = revision;
}

bool Rollout::offers(const std::string& mirror) const {
  return is_done() || is_last_step() || progress_.mirrors.contains(mirror);
}

void Rollout::hear(RolloutPlan plan) {
  plan_ = std::move(plan);
}

void Rollout::forget(const std::string& mirror) {
  if (progress_.mirrors.contains(mirror)) progress_.passed.insert(mirror);
}

// Those that are well, in an order that does not depend on how they are called, and is the same
// each time: the next revision is tried by those that have tried this one.
void Rollout::begin_step(const FleetView& view, const IsChanged& is_changed) {
  std::vector<std::pair<std::uint32_t, std::string>> well;
  std::size_t changed = 0;
  for (const auto& mirror : view.mirrors) {
    if (!is_changed(*mirror)) continue;
    ++changed;
    if (view.state_of(*mirror) == "well") {
      well.emplace_back(extend_crc(0, mirror->name), mirror->name);
    }
  }
  if (well.empty()) {
    progress_.reason = changed == 0 ? "waits for a mirror that it gives something new to"
                                    : "waits for a mirror that is well";
    return;
  }
  std::sort(well.begin(), well.end());
  const std::size_t target = target_of(plan_.steps.at(progress_.step), changed);
  for (const auto& [order, name] : well) {
    if (progress_.mirrors.size() >= target) break;
    progress_.mirrors.insert(name);
  }
  is_chosen_ = true;
}

// Empty: nothing.
std::string Rollout::wrong_with(const FleetView& view, const MirrorReport& mirror) {
  if (mirror.wanted == progress_.revision && mirror.state == "refused") {
    return fmt::format("\"{}\" refused it: {}", mirror.name, mirror.refusal);
  }
  const std::string trouble = view.trouble_of(mirror);
  if (trouble.empty()) {
    wrong_since_.erase(mirror.name);
    return {};
  }
  const auto since = wrong_since_.try_emplace(mirror.name, view.now).first->second;
  if (view.now - since < kPatienceS) return {};
  return fmt::format("\"{}\" is in trouble: {}", mirror.name, trouble);
}

// Going on in spite of a trouble, a person has seen what it is; going on while it waits, there is
// nothing to wait for.
void Rollout::carry_out_order(const FleetView& view) {
  progress_.order = plan_.order;
  if (is_done()) return;
  if (plan_.order_is_stop) {
    progress_.state = "stopped";
    progress_.reason = fmt::format("{} stopped it", plan_.order_by);
    return;
  }
  if (progress_.state != "stopped") return next_step();
  progress_.state = "running";
  progress_.reason.clear();
  for (const auto& mirror : view.mirrors) {
    if (progress_.mirrors.contains(mirror->name) && !view.trouble_of(*mirror).empty()) {
      progress_.passed.insert(mirror->name);
    }
  }
}

void Rollout::next_step() {
  well_since_.reset();
  progress_.reason.clear();
  if (is_last_step()) {
    progress_.state = "done";
    return;
  }
  ++progress_.step;
  is_chosen_ = false;
}

void Rollout::look(const FleetView& view, const IsChanged& is_changed) {
  if (progress_.order != plan_.order) carry_out_order(view);
  if (progress_.state != "running") return;
  if (!is_chosen_) begin_step(view, is_changed);
  if (!is_chosen_) return;
  std::size_t waiting = 0;
  std::string first;
  std::size_t found = 0;
  for (const auto& mirror : view.mirrors) {
    if (!progress_.mirrors.contains(mirror->name)) continue;
    if (progress_.passed.contains(mirror->name)) continue;
    ++found;
    if (std::string wrong = wrong_with(view, *mirror); !wrong.empty()) {
      progress_.state = "stopped";
      progress_.reason = std::move(wrong);
      return;
    }
    if (mirror->revision == progress_.revision && view.state_of(*mirror) == "well") continue;
    if (waiting++ == 0) first = mirror->name;
  }
  waiting += progress_.mirrors.size() - progress_.passed.size() - found;
  if (waiting > 0) {
    well_since_.reset();
    progress_.reason = fmt::format("waits for {}{}", program::counted(waiting, "mirror"),
                                   first.empty() ? "" : fmt::format(", \"{}\" first", first));
    return;
  }
  progress_.reason.clear();
  if (!well_since_) well_since_ = view.now;
  if (view.now - *well_since_ >= plan_.healthy_seconds) next_step();
}

}  // namespace daystream::fleet
