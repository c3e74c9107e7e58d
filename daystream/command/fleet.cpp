// daystream fleet: the configurations of many mirrors, which "daystream serve --fleet" offers.
#include "fleet/fleet.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "calendar.h"
#include "commands.h"
#include "daystream/error.h"
#include "fleet/report_store.h"
#include "fleet/reports.h"
#include "fleet/rollout.h"
#include "fleet_commands.h"
#include "json_text.h"
#include "program/common_flags.h"
#include "program/figures.h"
#include "program/harmless.h"
#include "program/json.h"
#include "remote/http_client.h"

namespace daystream::command {

namespace {

using fleet::FleetContent;
using fleet::FleetDirectory;
using fleet::FleetDraft;
using fleet::Revision;
using nlohmann::json;
using nlohmann::ordered_json;
using program::Labels;

struct FleetOptions {
  std::string directory;
  std::vector<std::string> names;
  std::vector<std::string> labels;
  std::string author;
  std::string text;
  std::uint64_t first = 0;
  std::optional<std::uint64_t> second;
  bool json = false;
  bool all = false;
  std::string steps;
  std::int64_t healthy_seconds = 10;
  std::string action;
  remote::Options http;
};

// Throws ConfigError where something is wrong, and prints what.
FleetDraft right_draft(const FleetDirectory& fleet, const FleetOptions& options) {
  FleetDraft draft = fleet.draft(options.names, program::parse_labels(options.labels));
  for (const std::string& problem : draft.problems) fmt::print("{}\n", problem);
  if (draft.problems.empty()) return draft;
  throw ConfigError(fmt::format("fleet \"{}\" has {}", options.directory,
                                program::counted(draft.problems.size(), "problem")),
                    "each line above says where, and what may stand there");
}

std::size_t tables_of(const json& config) {
  std::size_t count = config.value("tables", json::array()).size();
  for (const json& source : config.value("sources", json::array())) {
    count += source.value("tables", json::array()).size();
  }
  return count;
}

int check_fleet(const FleetOptions& options) {
  const FleetDirectory fleet(options.directory);
  const FleetDraft draft = right_draft(fleet, options);
  for (const std::string& name : options.names) {
    const auto config = draft.content.config_of(name, program::parse_labels(options.labels));
    fmt::print("{}: {}\n", name, program::counted(tables_of(*config), "table"));
  }
  fmt::print("{}: {}, {}\n", options.directory,
             program::counted(draft.content.fleet["mirrors"].size(), "rule"),
             program::counted(draft.content.parts.size(), "part"));
  return 0;
}

int show_fleet(const FleetOptions& options) {
  const FleetDirectory fleet(options.directory);
  const FleetContent content = options.second ? fleet.revision(*options.second).content
                                              : right_draft(fleet, options).content;
  const auto config =
      content.config_of(options.names.front(), program::parse_labels(options.labels));
  if (!config) {
    throw ConfigError(fmt::format("no rule is about \"{}\"", options.names.front()),
                      "look at the names and labels in fleet.json, and at --label");
  }
  fmt::print("{}", json_page(*config));
  return 0;
}

std::string author_of(const FleetOptions& options) {
  return options.author.empty() ? own_user_name() : options.author;
}

int publish_content(const FleetDirectory& fleet, const FleetContent& content,
                    const FleetOptions& options, const std::string& text) {
  std::optional<fleet::RolloutPlan> plan;
  if (!options.steps.empty()) {
    plan.emplace();
    plan->steps = fleet::parse_steps(options.steps);
    plan->healthy_seconds = options.healthy_seconds;
  }
  const auto made = fleet.publish(content, author_of(options), text, plan ? &*plan : nullptr);
  if (made && fleet::load_plan(fleet.path(), made->number)) {
    fmt::print("published revision {}, which goes out in steps: {} rollout status\n", made->number,
               fmt::format("daystream fleet {}", options.directory));
  } else if (made) {
    fmt::print("published revision {}\n", made->number);
  } else {
    fmt::print("nothing has changed: revision {} stays the newest\n", fleet.newest().value_or(0));
  }
  return 0;
}

int publish_fleet(const FleetOptions& options) {
  const FleetDirectory fleet(options.directory);
  return publish_content(fleet, right_draft(fleet, options).content, options, options.text);
}

int roll_back_fleet(const FleetOptions& options) {
  const FleetDirectory fleet(options.directory);
  const FleetContent content = fleet.revision(options.first).content;
  const std::string text =
      options.text.empty() ? fmt::format("back to revision {}", options.first) : options.text;
  publish_content(fleet, content, options, text);
  const FleetDraft draft = fleet.draft();
  if (draft.problems.empty() && draft.content == content) return 0;
  fmt::print("the files in {} are as they were: mend them before you publish again\n",
             options.directory);
  return 0;
}

int log_fleet(const FleetOptions& options) {
  const FleetDirectory fleet(options.directory);
  std::vector<std::uint64_t> numbers = fleet.revisions();
  if (numbers.empty() && !options.json) fmt::print("nothing has been published yet\n");
  for (auto number = numbers.rbegin(); number != numbers.rend(); ++number) {
    const Revision revision = fleet.revision(*number);
    if (options.json) {
      fmt::print("{}", json_line(ordered_json{{"revision", revision.number},
                                              {"author", revision.author},
                                              {"time", utc_text(revision.time)},
                                              {"text", revision.text}}));
    } else {
      fmt::print("{:>6}  {}  {}{}{}\n", revision.number, utc_text(revision.time),
                 program::harmless(revision.author), revision.text.empty() ? "" : ": ",
                 program::harmless(revision.text));
    }
  }
  return 0;
}

// The values in a file, by their JSON pointers.
std::map<std::string, std::string> values_of(const json& file) {
  std::map<std::string, std::string> out;
  const json flat = file.flatten();
  for (const auto& [pointer, value] : flat.items()) out[pointer] = value.dump();
  return out;
}

void print_differences(const std::string& name, const json& before, const json& after) {
  const auto old_values = values_of(before);
  const auto new_values = values_of(after);
  std::set<std::string> pointers;
  for (const auto& [pointer, value] : old_values) pointers.insert(pointer);
  for (const auto& [pointer, value] : new_values) pointers.insert(pointer);
  for (const std::string& pointer : pointers) {
    const auto old_value = old_values.find(pointer);
    const auto new_value = new_values.find(pointer);
    const bool was = old_value != old_values.end();
    const bool is = new_value != new_values.end();
    if (was && is && old_value->second == new_value->second) continue;
    if (was) fmt::print("- {}: {}: {}\n", name, pointer, old_value->second);
    if (is) fmt::print("+ {}: {}: {}\n", name, pointer, new_value->second);
  }
}

int diff_fleet(const FleetOptions& options) {
  const FleetDirectory fleet(options.directory);
  const FleetContent before = fleet.revision(options.first).content;
  const FleetContent after = options.second ? fleet.revision(*options.second).content
                                            : right_draft(fleet, options).content;
  print_differences("fleet.json", before.fleet, after.fleet);
  std::set<std::string> names;
  for (const auto& [name, part] : before.parts) names.insert(name);
  for (const auto& [name, part] : after.parts) names.insert(name);
  const auto part_of = [](const FleetContent& content, const std::string& name) {
    const auto found = content.parts.find(name);
    return found == content.parts.end() ? json::object() : found->second;
  };
  for (const std::string& name : names) {
    print_differences(name, part_of(before, name), part_of(after, name));
  }
  return 0;
}

std::optional<ordered_json> rollout_of(const FleetDirectory& fleet);

// What the server knows now, or what it has kept, judged by the clock of this host.
ordered_json mirrors_of(const FleetOptions& options) {
  if (options.directory.find("://") != std::string::npos) {
    return program::parse_json(remote::request(options.http, "GET", options.directory).body);
  }
  const FleetDirectory fleet(options.directory);
  const fleet::ReportStore store(options.directory);
  if (!store.exists()) {
    throw ConfigError(fmt::format("no mirror has reported to fleet \"{}\"", options.directory),
                      "\"daystream serve --fleet\" keeps there what they say");
  }
  const fleet::FleetReports reports(store.load(), 0);
  fleet::FleetView view = reports.view(std::time(nullptr), fleet.newest().value_or(0));
  if (const auto rollout = rollout_of(fleet); rollout && (*rollout)["state"] != "done") {
    view.rollout = std::make_shared<const ordered_json>(*rollout);
  }
  return fleet::fleet_json(view, {});
}

ConfigError not_reported(const std::string& name) {
  return ConfigError(fmt::format("mirror \"{}\" has not reported", name),
                     "\"status\" without a name shows those that have");
}

std::string shown(const ordered_json& value) {
  if (value.is_null()) return "-";
  return program::harmless(value.is_string() ? value.get<std::string>() : value.dump());
}

bool is_in_trouble(const ordered_json& mirror) {
  return mirror["state"] != "well" && mirror["state"] != "copying";
}

void print_mirror(const ordered_json& mirror) {
  const ordered_json config = mirror.value("config", ordered_json());
  const ordered_json lag = mirror.value("lag_seconds", ordered_json());
  fmt::print(
      "{:<8} {:<24} revision {}, {}{}\n", shown(mirror["state"]), shown(mirror["name"]),
      shown(config.is_object() ? config["revision"] : ordered_json()),
      lag.is_number() ? program::seconds_text(lag.get<double>()) + " behind" : "lag not known",
      mirror["trouble"].empty() ? "" : ": " + shown(mirror["trouble"][0]));
}

int forget_mirror(const FleetOptions& options) {
  const std::string& name = options.names.front();
  const FleetDirectory directory(options.directory);  // of an address it says what to name
  const ordered_json fleet = mirrors_of(options);
  const auto found = std::find_if(fleet["mirrors"].begin(), fleet["mirrors"].end(),
                                  [&](const ordered_json& each) { return each["name"] == name; });
  if (found == fleet["mirrors"].end()) throw not_reported(name);
  if ((*found)["state"] != "silent") {
    throw ConfigError(fmt::format("mirror \"{}\" reports, and would be back in a moment", name),
                      "end its \"deltamirror run\" first, and wait until it is silent");
  }
  fleet::ReportStore(options.directory).forget(name, std::time(nullptr));
  fmt::print("forgot \"{}\"\n", name);
  return 0;
}

void print_rollout(const ordered_json& rollout) {
  std::string steps;
  for (const ordered_json& step : rollout["steps"]) {
    steps += (steps.empty() ? "" : ", ") + shown(step);
  }
  fmt::print("roll-out of revision {} (from {}; {}): {} at {}{}\n", shown(rollout["revision"]),
             shown(rollout["from"]), steps, shown(rollout["state"]), shown(rollout["step"]),
             rollout["reason"].is_null() ? "" : ": " + shown(rollout["reason"]));
}

// One mirror, with all that it says and what became of it.
int show_mirror(const FleetOptions& options, const ordered_json& fleet) {
  for (ordered_json mirror : fleet["mirrors"]) {
    if (mirror["name"] != options.names.front()) continue;
    fmt::print("{}", json_page(mirror));
    return is_in_trouble(mirror) ? 1 : 0;
  }
  throw not_reported(options.names.front());
}

int fleet_status(const FleetOptions& options) {
  const ordered_json fleet = mirrors_of(options);
  if (!fleet.is_object() || !fleet.contains("mirrors")) {
    throw ProtocolError(fmt::format("{}: the answer is no state of a fleet", options.directory),
                        "the URL is https://HOST:PORT/fleet of a \"daystream serve --fleet\"");
  }
  if (!options.names.empty()) return show_mirror(options, fleet);
  const ordered_json& mirrors = fleet["mirrors"];
  const auto troubled =
      static_cast<std::size_t>(std::count_if(mirrors.begin(), mirrors.end(), is_in_trouble));
  if (options.json) {
    fmt::print("{}", json_page(fleet));
    return troubled > 0 ? 1 : 0;
  }
  std::string states;
  for (const auto& [state, count] : fleet["states"].items()) {
    if (count != 0)
      states += fmt::format("{}{} {}", states.empty() ? ": " : ", ", shown(count), state);
  }
  fmt::print("revision {}, {}{}\n", shown(fleet["revision"]),
             program::counted(mirrors.size(), "mirror"), states);
  if (!fleet["rollout"].is_null()) print_rollout(fleet["rollout"]);
  std::size_t named = 0;
  for (const ordered_json& mirror : mirrors) {
    if (!options.all && named == troubled + program::kMostNamed) break;
    ++named;
    print_mirror(mirror);
  }
  if (named < mirrors.size()) {
    fmt::print("and {} more (--all names them)\n", mirrors.size() - named);
  }
  return troubled > 0 ? 1 : 0;
}

// As the server has it; where none has taken it up yet, as it will begin.
std::optional<ordered_json> rollout_of(const FleetDirectory& fleet) {
  const auto number = fleet.newest();
  const auto plan = number ? fleet::load_plan(fleet.path(), *number) : std::nullopt;
  if (!plan) return std::nullopt;
  fleet::Rollout rollout(*number, *plan, fleet::load_progress(fleet.path()));
  return fleet::to_json(*plan, rollout.progress());
}

int show_rollout(const FleetOptions& options) {
  const auto rollout = rollout_of(FleetDirectory(options.directory));
  if (options.json) {
    fmt::print("{}", json_page(rollout.value_or(ordered_json())));
  } else if (!rollout) {
    fmt::print("the newest revision goes to all mirrors\n");
  } else {
    print_rollout(*rollout);
  }
  return rollout && (*rollout)["state"] == "stopped" ? 1 : 0;
}

int steer_rollout(const FleetOptions& options) {
  if (options.action == "status") return show_rollout(options);
  const FleetDirectory fleet(options.directory);
  fleet.order_rollout(options.action == "stop", author_of(options));
  fmt::print("\"{}\" is ordered: the server does it at once\n", options.action);
  return 0;
}

void add_labels(CLI::App& command, FleetOptions& options) {
  program::add_label_option(command, options.labels,
                            "KEY=VALUE that the mirrors have; may be repeated");
}

void add_author(CLI::App& command, FleetOptions& options) {
  command.add_option("--author", options.author, "who makes it (default: who runs this)");
  command.add_option("-m,--message", options.text, "why, for the log");
}

void add_steps(CLI::App& publish, FleetOptions& options) {
  publish
      .add_option("--steps", options.steps,
                  "to so many mirrors first, or such a share of them: 1,5%,all (default: to all at "
                  "once)")
      ->type_name("STEPS");
  publish
      .add_option("--healthy-for", options.healthy_seconds,
                  "seconds for which the mirrors of a step are to be well before the next")
      ->check(CLI::Range(0, 86400))
      ->capture_default_str();
}

void add_rollout(CLI::App& rollout, FleetOptions& options) {
  rollout
      .add_option("ACTION", options.action, "status; stop; or continue, also with the next step")
      ->required()
      ->check(CLI::IsMember({"status", "stop", "continue"}));
  program::add_json_flag(rollout, options.json);
  rollout.add_option("--author", options.author, "who says so (default: who runs this)");
}

constexpr const char* kFooter =
    "Mirrors get what was published, from \"daystream serve --fleet DIR\": files that are being\n"
    "edited are offered to nobody.\n\n"
    "Examples:\n"
    "  daystream fleet /etc/deltaflood/fleet check edge-7 --label region=eu\n"
    "  daystream fleet /etc/deltaflood/fleet publish -m \"aircraft for all\"\n"
    "  daystream fleet /etc/deltaflood/fleet publish --steps 1,5%,all\n"
    "  daystream fleet /etc/deltaflood/fleet rollout status\n"
    "  daystream fleet /etc/deltaflood/fleet diff 3\n"
    "  daystream fleet /etc/deltaflood/fleet status\n"
    "  daystream fleet /etc/deltaflood/fleet rollback 3\n"
    "  daystream fleet /etc/deltaflood/fleet command reseed --table flights --name 'edge-*'\n\n"
    "Exit codes of \"status\": 0 all is well; 1 a mirror is in trouble, or silent; of \"rollout\n"
    "status\" 1 where it has stopped; of \"commands N\" 1 where a host failed or refused it.";

}  // namespace

void add_fleet(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<FleetOptions>();
  CLI::App& command =
      *app.add_subcommand("fleet", "check and publish the configurations of many mirrors");
  command
      .add_option("DIR", options->directory,
                  "the fleet's directory, with fleet.json; of \"status\" and \"commands\" also "
                  "https://HOST:PORT/fleet of its server")
      ->required();
  command.require_subcommand(1);
  const auto add = [&](const std::string& name, const std::string& what,
                       int (*act)(const FleetOptions&)) -> CLI::App& {
    return add_acting(command, name, what, options, chosen, act);
  };
  CLI::App& check = add("check", "tell all that is wrong with the files", check_fleet);
  check.add_option("NAME", options->names, "mirrors to check besides");
  add_labels(check, *options);
  CLI::App& show = add("show", "print what a mirror gets", show_fleet);
  show.add_option("NAME", options->names, "the mirror")->required()->expected(1);
  add_labels(show, *options);
  show.add_option("--revision", options->second,
                  "as published with this number (default: the files as they are)");
  CLI::App& publish =
      add("publish", "make the files the next revision, if all is right", publish_fleet);
  add_author(publish, *options);
  add_steps(publish, *options);
  program::add_json_flag(add("log", "the revisions, the newest first", log_fleet), options->json);
  CLI::App& diff = add("diff", "what differs between two revisions", diff_fleet);
  diff.add_option("FROM", options->first, "number of a revision")->required();
  diff.add_option("TO", options->second, "of another (default: the files as they are)");
  CLI::App& back = add("rollback", "make an old revision the newest again", roll_back_fleet);
  back.add_option("N", options->first, "number of the revision")->required();
  add_author(back, *options);
  CLI::App& rollout =
      add("rollout", "how far the newest revision is on its way in steps; steer it", steer_rollout);
  add_rollout(rollout, *options);
  add("forget", "miss a mirror no longer that is silent, as it is no more", forget_mirror)
      .add_option("NAME", options->names, "the mirror")
      ->required()
      ->expected(1);
  CLI::App& status = add("status", "how the mirrors are, those in trouble first", fleet_status);
  status.add_option("NAME", options->names, "all that is known of one of them")->expected(1);
  program::add_json_flag(status, options->json);
  program::add_all_flag(status, options->all, "mirror");
  add_fleet_commands(command, {options, &options->directory}, chosen);
  command.footer(kFooter);
}

}  // namespace daystream::command
