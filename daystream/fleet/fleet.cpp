#include "fleet/fleet.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <ctime>
#include <memory>
#include <set>

#include "calendar.h"
#include "daystream/error.h"
#include "dir.h"
#include "fleet/rollout.h"
#include "json_text.h"
#include "lock.h"
#include "number.h"
#include "program/config_text.h"
#include "program/json.h"
#include "program/json_schema.h"

namespace daystream::fleet {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;
using program::CheckedJson;
using program::JsonProblem;

constexpr const char* kFleetName = "fleet.json";

const json& fleet_schema() {
  static const json schema = json::parse(R"({
    "type": "object", "additionalProperties": false, "required": ["mirrors"],
    "properties": {
      "$schema": {"type": "string"},
      "mirrors": {"type": "array", "items": {
        "type": "object", "additionalProperties": false,
        "allOf": [{"description": "needs \"use\", or \"with\"",
                   "anyOf": [{"required": ["use"]}, {"required": ["with"]}]}],
        "properties": {
          "name": {"type": "string", "minLength": 1},
          "labels": {"type": "object", "additionalProperties": {"type": "string"}},
          "use": {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}},
          "with": {"type": "object"}}}}}})");
  return schema;
}

const json& mirror_schema() {
  static const json schema = json::parse(program::mirror_config_schema());
  return schema;
}

std::string name_of_rule(const json& rule) {
  return rule.value("name", "*");
}

Labels labels_of_rule(const json& rule) {
  return rule.value("labels", Labels());
}

bool fits(const std::string& pattern, const std::string& text) {
  return fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
}

bool matches(const json& rule, const std::string& name, const Labels& labels) {
  return fits_mirror(name_of_rule(rule), labels_of_rule(rule), name, labels);
}

// A name that fits the pattern: what stands for anything stands for itself, a class for its first.
std::string example_of(const std::string& pattern) {
  std::string out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const std::size_t end = pattern[i] == '[' ? pattern.find(']', i + 2) : std::string::npos;
    if (end == std::string::npos) {
      out += pattern[i];
      continue;
    }
    out += pattern[i + 1] == '!' || pattern[i + 1] == '^' ? '~' : pattern[i + 1];
    i = end;
  }
  return out;
}

bool is_part_name(const std::string& name) {
  return !name.starts_with('.') && name != kFleetName && name.find('/') == std::string::npos;
}

// A mirror in a message.
std::string called(const std::string& name, const Labels& labels) {
  std::string out = fmt::format("\"{}\"", name);
  for (const auto& [key, value] : labels) out += fmt::format(" with {}={}", key, value);
  return out;
}

// The files, as far as they can be read, and what is wrong with what comes of them.
class DraftCheck {
 public:
  explicit DraftCheck(const std::filesystem::path& path)
      : path_(path), fleet_(read(kFleetName, fleet_schema())) {
    draft_.content.fleet = fleet_.value;
    if (!draft_.problems.empty()) return;
    const json& rules = fleet_.value["mirrors"];
    for (std::size_t i = 0; i < rules.size(); ++i) {
      const json parts = rules[i].value("use", json::array());
      for (std::size_t k = 0; k < parts.size(); ++k) {
        read_part(parts[k], fmt::format("/mirrors/{}/use/{}", i, k));
      }
    }
  }

  void check(const std::vector<std::string>& names, const Labels& labels) {
    if (!draft_.problems.empty()) return;
    const json& rules = fleet_.value["mirrors"];
    for (std::size_t i = 0; i < rules.size(); ++i) {
      const std::string name = example_of(name_of_rule(rules[i]));
      const Labels own = labels_of_rule(rules[i]);
      for (const auto& problem : problems_of(name, own)) {
        if (problem.pointer.empty() && can_be_whole(rules[i])) continue;
        tell_origin(problem, name, own, fmt::format("/mirrors/{}", i));
      }
    }
    for (const std::string& name : names) check_mirror(name, labels);
  }

  FleetDraft take() { return std::move(draft_); }

 private:
  CheckedJson read(const std::string& name, const json& schema) {
    const std::string file = (path_ / name).string();
    CheckedJson checked = program::check_json(program::read_config_text(file), schema);
    for (const JsonProblem& problem : checked.problems) tell(problem.text(file));
    return checked;
  }

  void read_part(const std::string& name, const std::string& at) {
    if (parts_.contains(name)) return;
    if (!is_part_name(name)) {
      return tell_of_fleet(at, fmt::format("\"{}\" is no part: name a file beside this one", name));
    }
    std::error_code error;
    if (!std::filesystem::exists(path_ / name, error)) {
      return tell_of_fleet(at, fmt::format("there is no file \"{}\" beside this one", name));
    }
    static const json any_object = {{"type", "object"}};
    const auto part = parts_.emplace(name, read(name, any_object)).first;
    draft_.content.parts[name] = part->second.value;
  }

  void check_mirror(const std::string& name, const Labels& labels) {
    if (draft_.content.matching(name, labels).empty()) {
      return tell_of_fleet("/mirrors", fmt::format("no rule is about {}", called(name, labels)));
    }
    for (const auto& problem : problems_of(name, labels)) {
      tell_origin(problem, name, labels, "/mirrors");
    }
  }

  std::vector<program::SchemaProblem> problems_of(const std::string& name,
                                                  const Labels& labels) const {
    const FleetContent& content = draft_.content;
    return program::schema_problems(mirror_schema(),
                                    content.compose(content.matching(name, labels)));
  }

  // What a rule lacks by itself another may give: of one for a label, that for the mirrors' names.
  bool can_be_whole(const json& rule) const {
    const json& rules = fleet_.value["mirrors"];
    return std::any_of(rules.begin(), rules.end(), [&](const json& other) {
      Labels labels = labels_of_rule(rule);
      labels.merge(labels_of_rule(other));
      const std::string names[] = {name_of_rule(rule), name_of_rule(other)};
      return std::any_of(std::begin(names), std::end(names), [&](const std::string& pattern) {
        const std::string name = example_of(pattern);
        return matches(rule, name, labels) && problems_of(name, labels).empty();
      });
    });
  }

  // Where what is wrong in a composed configuration was written: the last place that says it.
  void tell_origin(const program::SchemaProblem& problem, const std::string& name,
                   const Labels& labels, const std::string& rule) {
    const json& rules = fleet_.value["mirrors"];
    for (std::size_t i = rules.size(); i-- > 0;) {
      if (!matches(rules[i], name, labels)) continue;
      const std::string with = fmt::format("/mirrors/{}/with", i);
      if (!problem.pointer.empty() && fleet_.places.has(with + problem.pointer)) {
        return tell(placed({with + problem.pointer, problem.message, problem.of_key}, fleet_.places)
                        .text((path_ / kFleetName).string()));
      }
      const json parts = rules[i].value("use", json::array());
      for (std::size_t k = parts.size(); k-- > 0;) {
        const CheckedJson& part = parts_.at(parts[k].get<std::string>());
        if (problem.pointer.empty() || !part.places.has(problem.pointer)) continue;
        return tell(
            placed(problem, part.places).text((path_ / parts[k].get<std::string>()).string()));
      }
    }
    tell_of_fleet(rule, fmt::format("what {} gets: {}", called(name, labels), problem.text()));
  }

  void tell_of_fleet(const std::string& at, const std::string& message) {
    tell(placed({at, message}, fleet_.places).text((path_ / kFleetName).string()));
  }
  void tell(const std::string& text) {
    auto& all = draft_.problems;
    if (std::find(all.begin(), all.end(), text) == all.end()) all.push_back(text);
  }

  const std::filesystem::path path_;
  FleetDraft draft_;
  CheckedJson fleet_;
  std::map<std::string, CheckedJson> parts_;
};

std::string file_of(std::uint64_t number) {
  return fmt::format("{}.json", number);
}

ordered_json to_json(const Revision& revision) {
  ordered_json out;
  out["revision"] = revision.number;
  out["author"] = revision.author;
  out["time"] = utc_text(revision.time);
  out["text"] = revision.text;
  out["fleet"] = revision.content.fleet;
  out["parts"] = revision.content.parts;
  return out;
}

// nullopt: it is none.
std::optional<Revision> parse_revision(const std::string& text, std::uint64_t number) {
  const json root = program::parse_json<json>(text);
  try {
    Revision revision;
    revision.number = root.at("revision").get<std::uint64_t>();
    revision.author = root.at("author").get<std::string>();
    const auto time = parse_utc_text(root.at("time").get<std::string>());
    revision.text = root.at("text").get<std::string>();
    revision.content.fleet = root.at("fleet");
    revision.content.parts = root.at("parts").get<std::map<std::string, json>>();
    if (revision.number != number || !time) return std::nullopt;
    if (!program::schema_problems(fleet_schema(), revision.content.fleet).empty()) {
      return std::nullopt;
    }
    for (const json& rule : revision.content.fleet["mirrors"]) {
      for (const std::string part : rule.value("use", json::array())) {
        if (!revision.content.parts.contains(part)) return std::nullopt;
      }
    }
    revision.time = *time;
    return revision;
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

}  // namespace

bool fits_mirror(const std::string& name_pattern, const Labels& label_patterns,
                 const std::string& name, const Labels& labels) {
  if (!fits(name_pattern, name)) return false;
  return std::all_of(label_patterns.begin(), label_patterns.end(), [&](const auto& each) {
    const auto found = labels.find(each.first);
    return found != labels.end() && fits(each.second, found->second);
  });
}

std::optional<json> FleetContent::config_of(const std::string& name, const Labels& labels) const {
  const auto rules = matching(name, labels);
  if (rules.empty()) return std::nullopt;
  return compose(rules);
}

std::vector<std::size_t> FleetContent::matching(const std::string& name,
                                                const Labels& labels) const {
  std::vector<std::size_t> out;
  const json& rules = fleet.at("mirrors");
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (matches(rules[i], name, labels)) out.push_back(i);
  }
  return out;
}

json FleetContent::compose(const std::vector<std::size_t>& rules) const {
  json config = json::object();
  for (const std::size_t each : rules) {
    const json& rule = fleet.at("mirrors").at(each);
    for (const std::string part : rule.value("use", json::array())) {
      config.merge_patch(parts.at(part));
    }
    if (rule.contains("with")) config.merge_patch(rule["with"]);
  }
  return config;
}

FleetDirectory::FleetDirectory(std::filesystem::path path) : path_(std::move(path)) {
  std::error_code error;
  if (std::filesystem::is_directory(path_, error)) return;
  if (path_.native().find("://") != std::string::npos) {
    throw ConfigError(
        fmt::format("\"{}\" is the address of a server, and this takes the fleet's directory",
                    path_.native()),
        "name the directory that its \"daystream serve --fleet\" has, on its host; of an address "
        "there are \"status\" and \"commands\"");
  }
  throw ConfigError(fmt::format("fleet directory \"{}\" is no directory", path_.string()),
                    fmt::format("make it, with a {} in it: docs/fleet.md shows one", kFleetName));
}

FleetDraft FleetDirectory::draft(const std::vector<std::string>& names,
                                 const Labels& labels) const {
  DraftCheck check(path_);
  check.check(names, labels);
  return check.take();
}

std::vector<std::uint64_t> FleetDirectory::revisions() const {
  std::vector<std::uint64_t> numbers;
  std::error_code error;
  if (!std::filesystem::is_directory(revisions_path(), error)) return numbers;
  for (const std::string& name : real_dir(revisions_path())->list()) {
    if (!name.ends_with(".json")) continue;
    const auto number = parse_number<std::uint64_t>(name.substr(0, name.size() - 5));
    if (number && file_of(*number) == name) numbers.push_back(*number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

std::optional<std::uint64_t> FleetDirectory::newest() const {
  const auto all = revisions();
  return all.empty() ? std::nullopt : std::optional(all.back());
}

Revision FleetDirectory::revision(std::uint64_t number) const {
  const auto dir = real_dir(revisions_path());
  const auto file = dir->open(file_of(number));
  if (!file) {
    throw ConfigError(fmt::format("fleet \"{}\" has no revision {}", path_.string(), number),
                      "\"daystream fleet DIR log\" shows those there are");
  }
  auto found = parse_revision(read_whole(*file), number);
  if (!found) {
    throw NeedsPerson(fmt::format("revision \"{}\" is damaged", file->path()),
                      "bring it back from a backup, or remove it and publish again");
  }
  return std::move(*found);
}

std::optional<Revision> FleetDirectory::publish(const FleetContent& content,
                                                const std::string& author, const std::string& text,
                                                const RolloutPlan* plan) const {
  make_directory(revisions_path());
  const UniqueFd lock = lock_revisions();
  const auto last = newest();
  if (last && revision(*last).content == content) return std::nullopt;
  const Revision fresh{last.value_or(0) + 1, author, at_second(std::time(nullptr)), text, content};
  // Before the revision is there: a server that sees it knows at once to whom it goes. Where the
  // one before has not reached all, they have what it came from.
  remove_plan(path_, fresh.number);
  if (plan != nullptr && last) {
    RolloutPlan own = *plan;
    own.from = reached_by_all(*last);
    save_plan(path_, fresh.number, own);
  }
  const auto dir = real_dir(revisions_path());
  replace_file(*dir, file_of(fresh.number), json_page(to_json(fresh)));
  return fresh;
}

std::uint64_t FleetDirectory::reached_by_all(std::uint64_t number) const {
  const auto plan = load_plan(path_, number);
  if (!plan) return number;
  const auto progress = load_progress(path_);
  return progress && progress->revision == number && progress->is_done() ? number : plan->from;
}

void FleetDirectory::order_rollout(bool stop, const std::string& by) const {
  const UniqueFd lock = lock_revisions();
  const auto number = newest();
  auto plan = number ? load_plan(path_, *number) : std::nullopt;
  if (!plan) {
    throw ConfigError(fmt::format("the newest revision of fleet \"{}\" is not rolled out in steps",
                                  path_.string()),
                      "\"daystream fleet DIR publish --steps 1,5%,all\" begins a roll-out");
  }
  ++plan->order;
  plan->order_is_stop = stop;
  plan->order_by = by;
  save_plan(path_, *number, *plan);
}

UniqueFd FleetDirectory::lock_revisions() const {
  return lock_file(revisions_path() / "lock",
                   {"fleet", path_, "wait until that is done: a revision is made in a moment"});
}

std::vector<std::string> config_problems(const json& config) {
  std::vector<std::string> out;
  for (const auto& problem : program::schema_problems(mirror_schema(), config)) {
    out.push_back(problem.text());
  }
  return out;
}

}  // namespace daystream::fleet
