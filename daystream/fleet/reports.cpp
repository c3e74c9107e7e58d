#include "fleet/reports.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <tuple>

#include "calendar.h"
#include "json_text.h"
#include "program/harmless.h"
#include "program/host_command.h"
#include "program/json.h"
#include "program/report_news.h"

namespace daystream::fleet {

using nlohmann::ordered_json;
using program::harmless_words;
using program::text_of;

namespace {

constexpr std::int64_t kStoreAgainS = 60;  // a report that says nothing new
constexpr std::size_t kMostText = 300;
constexpr std::size_t kMostWord = 100;
constexpr std::size_t kMostLabels = 32;
constexpr std::size_t kMostOutcomes = 32;

// The worst first.
constexpr std::array<const char*, 6> kStates = {"stopped", "refused", "trouble",
                                                "silent",  "copying", "well"};

std::ptrdiff_t rank(const std::string& state) {
  return std::find(kStates.begin(), kStates.end(), state) - kStates.begin();
}

std::optional<std::uint64_t> number_of(const ordered_json& object, const char* key) {
  if (!object.is_object()) return std::nullopt;
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_unsigned()) return std::nullopt;
  return found->get<std::uint64_t>();
}

bool is_number_or_null(const ordered_json& value) {
  return value.is_number() || value.is_null();
}

template <typename Fits>
void keep_members(ordered_json& object, Fits fits) {
  for (auto at = object.begin(); at != object.end();) {
    at = fits(at) ? std::next(at) : object.erase(at);
  }
}

// A report is passed on to the page and to programs. What these read of it is of the kind that they
// take it for, or left out: one that they trip over would hide all other mirrors from them.
void leave_odd_out(ordered_json& told) {
  keep_members(told, [](const auto& at) {
    const std::string& key = at.key();
    if (key == "host") return at->is_string();
    if (key == "labels") return at->is_object();
    if (key == "config") {
      return at->is_null() ||
             (at->is_object() && is_number_or_null(at->value("revision", ordered_json())));
    }
    const bool is_figure = key == "lag_seconds" || key == "size_bytes" || key == "disk_free_bytes";
    return !is_figure || is_number_or_null(*at);
  });
  const auto is_string = [](const auto& at) { return at->is_string(); };
  keep_members(told["trouble"], is_string);
  for (const char* const key : {"commands", "accept_commands"}) {
    if (told.contains(key) && !told[key].is_array()) told.erase(key);
  }
  if (told.contains("labels")) keep_members(told["labels"], is_string);
}

// Its words go to pages and terminals, which are not to obey them.
void make_harmless(ordered_json& value) {
  if (value.is_string()) value = harmless_words(value.get<std::string>());
  if (!value.is_structured()) return;
  for (ordered_json& each : value) make_harmless(each);
}

std::string silence(const FleetView& view, const MirrorReport& mirror) {
  const std::int64_t seconds = view.now - std::max(mirror.told_at, view.listening_since);
  return seconds > kMirrorSilentS ? fmt::format("silent for {} s", view.now - mirror.told_at) : "";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

bool is_found(const FleetView& view, const MirrorReport& mirror, const std::string& search) {
  if (search.empty() || has(mirror.name, search) || has(mirror.host, search) ||
      view.state_of(mirror) == search || has(view.trouble_of(mirror), search)) {
    return true;
  }
  return std::any_of(mirror.labels.begin(), mirror.labels.end(), [&](const auto& label) {
    return has(label.first + "=" + label.second, search);
  });
}

ordered_json number_json(const std::optional<std::uint64_t>& number) {
  return number ? ordered_json(*number) : ordered_json();
}

ordered_json mirror_json(const FleetView& view, const MirrorReport& mirror) {
  ordered_json out;
  out["name"] = mirror.name;
  out["state"] = view.state_of(mirror);
  out["told_at"] = utc_text(at_second(mirror.told_at));
  const ordered_json told = program::parse_json(mirror.text);
  const std::string silent = silence(view, mirror);
  out["trouble"] = ordered_json::array();
  if (!silent.empty()) out["trouble"].push_back(silent);
  for (const auto& each : told.value("trouble", ordered_json::array())) {
    out["trouble"].push_back(each);
  }
  for (const auto& [key, value] : told.items()) {
    if (!out.contains(key)) out[key] = value;
  }
  return out;
}

}  // namespace

std::optional<MirrorReport> parse_report(const std::string& name, const std::string& text,
                                         std::int64_t told_at) {
  ordered_json told = program::parse_json(text);
  if (!told.is_object() || !told.value("trouble", ordered_json()).is_array()) return std::nullopt;
  leave_odd_out(told);
  make_harmless(told);
  MirrorReport report;
  report.name = name;
  report.told_at = told_at;
  report.state = text_of(told, "state");
  if (rank(report.state) == std::ssize(kStates) || report.state == "silent") return std::nullopt;
  report.host = harmless_words(text_of(told, "host"), kMostWord);
  const ordered_json& trouble = told["trouble"];
  if (!trouble.empty()) {
    report.trouble = harmless_words(trouble[0].get<std::string>(), kMostText);
  }
  const ordered_json config = told.value("config", ordered_json());
  report.revision = number_of(config, "revision");
  report.wanted = number_of(config, "wanted_revision");
  report.refusal = harmless_words(text_of(config, "error"), kMostText);
  const ordered_json labels = told.value("labels", ordered_json::object());
  for (const auto& [key, value] : labels.items()) {
    if (report.labels.size() < kMostLabels) {
      report.labels[harmless_words(key, kMostWord)] =
          harmless_words(value.get<std::string>(), kMostWord);
    }
  }
  const auto lag = told.find("lag_seconds");
  if (lag != told.end() && lag->is_number()) report.lag_seconds = lag->get<double>();
  for (const auto& each : told.value("accept_commands", ordered_json::array())) {
    if (each.is_string() && program::is_command_kind(each.get<std::string>())) {
      report.accepts.push_back(each.get<std::string>());
    }
  }
  for (const auto& each : told.value("commands", ordered_json::array())) {
    if (report.outcomes.size() == kMostOutcomes) break;
    if (auto outcome = program::parse_outcome(each)) report.outcomes.push_back(std::move(*outcome));
  }
  report.text = json_line(told);
  report.news = std::hash<std::string>()(program::news_of_report(told));
  return report;
}

std::string FleetView::state_of(const MirrorReport& mirror) const {
  return silence(*this, mirror).empty() ? mirror.state : "silent";
}

std::string FleetView::trouble_of(const MirrorReport& mirror) const {
  std::string silent = silence(*this, mirror);
  if (!silent.empty()) return silent;
  if (mirror.state == "well" || mirror.state == "copying") return {};
  return mirror.trouble.empty() ? mirror.state : mirror.trouble;
}

std::map<std::string, std::size_t> FleetView::states() const {
  std::map<std::string, std::size_t> out;
  for (const char* state : kStates) out[state] = 0;
  for (const auto& mirror : mirrors) ++out[state_of(*mirror)];
  return out;
}

std::map<std::optional<std::uint64_t>, std::size_t> FleetView::revisions() const {
  std::map<std::optional<std::uint64_t>, std::size_t> out;
  for (const auto& mirror : mirrors) ++out[mirror->revision];
  return out;
}

std::size_t FleetView::in_trouble() const {
  return static_cast<std::size_t>(
      std::count_if(mirrors.begin(), mirrors.end(),
                    [this](const auto& mirror) { return !trouble_of(*mirror).empty(); }));
}

void FleetView::keep_only(const std::function<bool(const std::string& mirror)>& may_be_seen) {
  const auto hidden =
      std::erase_if(mirrors, [&](const auto& mirror) { return !may_be_seen(mirror->name); });
  if (hidden == 0) return;
  commands = nullptr;
  if (!rollout) return;
  ordered_json known = *rollout;
  known["reason"] = nullptr;  // which mirror refused it, and why
  known["mirrors"] = nullptr;
  rollout = std::make_shared<const ordered_json>(std::move(known));
}

ordered_json fleet_json(const FleetView& view, const FleetQuery& query) {
  ordered_json out;
  out["time"] = utc_text(at_second(view.now));
  out["revision"] = view.revision;
  out["rollout"] = view.rollout ? *view.rollout : ordered_json();
  out["commands"] = view.commands ? *view.commands : ordered_json();
  out["states"] = view.states();
  out["revisions"] = ordered_json::array();
  for (const auto& [revision, count] : view.revisions()) {
    out["revisions"].push_back({{"revision", number_json(revision)}, {"mirrors", count}});
  }
  std::vector<std::tuple<std::ptrdiff_t, std::string, const MirrorReport*>> found;
  for (const auto& mirror : view.mirrors) {
    if (!is_found(view, *mirror, query.search)) continue;
    found.emplace_back(rank(view.state_of(*mirror)), mirror->name, mirror.get());
  }
  std::sort(found.begin(), found.end());
  const std::size_t shown = std::min(found.size(), query.most.value_or(found.size()));
  out["mirrors"] = ordered_json::array();
  for (std::size_t i = 0; i < shown; ++i) {
    out["mirrors"].push_back(mirror_json(view, *std::get<2>(found[i])));
  }
  out["left_out"] = found.size() - shown;
  return out;
}

FleetReports::FleetReports(MirrorReports known, std::int64_t now)
    : reports_(std::move(known)), listening_since_(now) {
  for (const auto& [name, report] : reports_) stored_at_[name] = report->told_at;
}

bool FleetReports::tell(MirrorReport report) {
  const auto found = reports_.find(report.name);
  if (found == reports_.end() && reports_.size() >= kMostMirrors) return false;
  ++count_;
  const bool is_event = found == reports_.end() || found->second->state != report.state ||
                        found->second->revision != report.revision ||
                        found->second->wanted != report.wanted;
  const bool is_news = is_event || found->second->news != report.news;
  if (is_event) {
    if (found != reports_.end()) {
      const std::int64_t missed = found->second->told_at + kMirrorSilentS;
      if (found->second->told_at >= listening_since_ && missed < report.told_at) {
        batch_.events.push_back({report.name, missed, "silent", found->second->revision, {}});
      }
    }
    batch_.events.push_back(
        {report.name, report.told_at, report.state, report.revision, report.trouble});
  }
  told_[report.name] |= is_news;
  std::string name = report.name;
  reports_[std::move(name)] = std::make_shared<const MirrorReport>(std::move(report));
  return true;
}

void FleetReports::forget(const std::string& mirror, std::int64_t at) {
  stored_at_.erase(mirror);
  const auto found = reports_.find(mirror);
  if (found == reports_.end() || found->second->told_at > at) return;
  reports_.erase(found);
  told_.erase(mirror);
}

FleetView FleetReports::view(std::int64_t now, std::uint64_t revision) const {
  FleetView view{{}, now, listening_since_, revision};
  view.mirrors.reserve(reports_.size());
  for (const auto& [name, report] : reports_) view.mirrors.push_back(report);
  return view;
}

ReportBatch FleetReports::take_batch(std::int64_t now) {
  ReportBatch batch = std::exchange(batch_, {});
  for (const auto& [name, is_news] : std::exchange(told_, {})) {
    const auto& report = reports_.at(name);
    batch.heard.emplace_back(name, report->told_at);
    std::int64_t& stored_at = stored_at_[name];
    if (!is_news && now - stored_at < kStoreAgainS) continue;
    stored_at = now;
    batch.reports.push_back(report);
  }
  const std::int64_t since = now - kMirrorGoneS;
  std::erase_if(reports_, [&](const auto& each) {
    if (each.second->told_at >= since || listening_since_ > since) return false;
    batch.gone.push_back(each.first);
    stored_at_.erase(each.first);
    return true;
  });
  return batch;
}

}  // namespace daystream::fleet
