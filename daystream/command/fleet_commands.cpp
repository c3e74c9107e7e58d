#include "fleet_commands.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "calendar.h"
#include "daystream/error.h"
#include "fleet/commands.h"
#include "fleet/fleet.h"
#include "fleet/report_store.h"
#include "json_text.h"
#include "program/common_flags.h"
#include "program/figures.h"
#include "program/harmless.h"
#include "program/json.h"
#include "program/usage.h"
#include "program/when.h"
#include "remote/http_client.h"

namespace daystream::command {

namespace {

using fleet::CommandDirectory;
using fleet::CommandOutcomes;
using fleet::FleetCommand;
using nlohmann::ordered_json;
using MirrorList = std::vector<std::shared_ptr<const fleet::MirrorReport>>;

struct CommandOptions {
  std::shared_ptr<const std::string> directory;
  FleetCommand asked;
  std::vector<std::string> tables;
  std::string source;
  std::string size;
  std::string keep;
  bool whole = false;
  std::vector<std::string> labels;
  bool has_name = false;
  std::string expires = "1 day";
  std::string author;
  std::optional<std::uint64_t> number;
  bool json = false;
  remote::Options http;

  std::string by() const { return author.empty() ? own_user_name() : author; }
};

// What the server has kept, judged by the clock of this host.
struct Known {
  MirrorList mirrors;
  CommandOutcomes outcomes;

  explicit Known(const std::string& fleet) {
    const fleet::ReportStore store(fleet);
    if (!store.exists()) return;
    for (const auto& [name, report] : store.load()) mirrors.push_back(report);
    outcomes = store.outcomes();
  }
  const std::map<std::string, fleet::CommandOutcome>& of(const FleetCommand& command) {
    return outcomes[command.command.id];
  }
};

nlohmann::json arguments_of(const CommandOptions& options) {
  nlohmann::json out = nlohmann::json::object();
  if (!options.tables.empty()) out["tables"] = options.tables;
  if (!options.source.empty()) out["source"] = options.source;
  if (!options.size.empty()) out["size"] = options.size;
  if (!options.keep.empty()) out["keep"] = options.keep;
  if (options.whole) out["whole"] = true;
  if (options.asked.command.kind == "sample" && options.size.empty()) out["size"] = "1%";
  return out;
}

void print_standing(const std::string& standing, const std::string& mirror,
                    const std::string& result) {
  fmt::print("  {:<12} {}{}{}\n", standing, program::harmless(mirror), result.empty() ? "" : ": ",
             result);
}

void print_standings(const FleetCommand& command, Known& known) {
  const std::int64_t now = std::time(nullptr);
  const auto& outcomes = known.of(command);
  for (const auto& mirror : known.mirrors) {
    const std::string standing = fleet::standing_of(command, *mirror, outcomes, now);
    if (standing.empty()) continue;
    const auto at = outcomes.find(mirror->name);
    print_standing(standing, mirror->name, at == outcomes.end() ? "" : at->second.result);
  }
}

int give_command(const CommandOptions& options) {
  const fleet::FleetDirectory fleet(*options.directory);
  FleetCommand command = options.asked;
  command.labels = program::parse_labels(options.labels);
  if (!options.has_name && command.labels.empty()) {
    throw ConfigError("the command is for no mirror",
                      "name them with --name 'edge-*' or --label region=eu; all with --name '*'");
  }
  const auto span = program::parse_span(options.expires);
  if (!span) {
    throw ConfigError(fmt::format("invalid --expires \"{}\"", options.expires),
                      "write it like 1h, 30 min or 2 days");
  }
  command.command.arguments = arguments_of(options);
  command.command.author = options.by();
  command.command.expires = at_second(std::time(nullptr) + *span);
  command = CommandDirectory(fleet.path()).issue(std::move(command));
  fmt::print("command {}: {}, until {}\n", command.number,
             program::command_words(command.command.kind, command.command.arguments),
             utc_text(command.command.expires));
  Known known(*options.directory);
  std::size_t about = 0;
  std::size_t unwilling = 0;
  for (const auto& mirror : known.mirrors) {
    if (!command.concerns(mirror->name, mirror->labels)) continue;
    ++about;
    if (!fleet::accepts(*mirror, command.command.kind)) ++unwilling;
  }
  fmt::print("of {} that {} reported it is for {}{}\n",
             program::counted(known.mirrors.size(), "mirror"),
             known.mirrors.size() == 1 ? "has" : "have", about,
             unwilling == 0 ? ""
                            : fmt::format(", of which {} {} not accept it (\"deltamirror run "
                                          "--accept-commands\")",
                                          unwilling, unwilling == 1 ? "does" : "do"));
  return 0;
}

int withdraw_command(const CommandOptions& options) {
  const fleet::FleetDirectory fleet(*options.directory);
  const auto command = CommandDirectory(fleet.path()).withdraw(*options.number, options.by());
  fmt::print("withdrew command {}: {}\n", command.number,
             program::command_words(command.command.kind, command.command.arguments));
  return 0;
}

std::string words_of(const ordered_json& value) {
  return program::harmless(value.is_string() ? value.get<std::string>() : value.dump());
}

void print_command(const ordered_json& command) {
  std::string mirrors;
  for (const auto& [state, count] : command["mirrors"].items()) {
    mirrors +=
        fmt::format("{}{} {}", mirrors.empty() ? "" : ", ", words_of(count), words_of(state));
  }
  std::string whom = words_of(command["name"]);
  for (const auto& [key, value] : command["labels"].items()) {
    whom += fmt::format(" {}={}", program::harmless(key), words_of(value));
  }
  const std::string state = words_of(command["state"]);
  const std::string by = words_of(command[state == "withdrawn" ? "withdrawn_by" : "author"]);
  fmt::print(
      "{:>6}  {}  {} by {} for {}: {}{}{}\n", words_of(command["number"]),
      words_of(command["time"]), state, by, whom,
      program::command_words(words_of(command["kind"]), nlohmann::json(command["arguments"])),
      mirrors.empty() ? "" : ": " + mirrors,
      words_of(command["text"]).empty() ? "" : " (" + words_of(command["text"]) + ")");
}

// Whether somebody should look at it.
bool has_failed(const ordered_json& command) {
  const ordered_json& mirrors = command["mirrors"];
  return mirrors.contains("failed") || mirrors.contains("interrupted") ||
         mirrors.contains("refused");
}

// What is given, the newest first.
struct Given {
  std::vector<ordered_json> commands;
  std::vector<std::string> damaged;  // files that should be some
};

bool is_address(const std::string& fleet) {
  return fleet.find("://") != std::string::npos;
}

// As the server says: all that `query` leaves in.
ordered_json answer_of(const CommandOptions& options, const char* query) {
  auto answer =
      program::parse_json(remote::request(options.http, "GET", *options.directory + query).body);
  if (answer.is_object() && answer.contains("mirrors") &&
      answer.value("commands", ordered_json()).is_array()) {
    return answer;
  }
  throw ConfigError(fmt::format("{} does not show its commands to who asks", *options.directory),
                    "give a token of --fleet '*', or the fleet's directory");
}

Given commands_of(const CommandOptions& options) {
  Given out;
  if (is_address(*options.directory)) {
    const ordered_json answer = answer_of(options, "?most=0");
    for (const auto& each : answer["commands"]) out.commands.push_back(each);
    return out;
  }
  const fleet::FleetDirectory fleet(*options.directory);
  Known known(*options.directory);
  std::vector<FleetCommand> all = CommandDirectory(fleet.path()).load(&out.damaged);
  for (auto each = all.rbegin(); each != all.rend(); ++each) {
    out.commands.push_back(to_json(*each, known.mirrors, known.of(*each), std::time(nullptr)));
  }
  return out;
}

// What became of it at each mirror, as each says in its report.
void print_told_standings(const CommandOptions& options, const ordered_json& command) {
  const ordered_json answer = answer_of(options, "");
  for (const ordered_json& mirror : answer["mirrors"]) {
    for (const ordered_json& each : mirror.value("commands", ordered_json::array())) {
      const auto outcome = program::parse_outcome(each);
      if (!outcome || outcome->id != program::text_of(command, "id")) continue;
      print_standing(outcome->state, program::text_of(mirror, "name"), outcome->result);
    }
  }
}

int show_one(const CommandOptions& options, const ordered_json& command) {
  if (options.json) {
    fmt::print("{}", json_page(command));
    return has_failed(command) ? 1 : 0;
  }
  print_command(command);
  if (is_address(*options.directory)) {
    print_told_standings(options, command);
  } else {
    Known known(*options.directory);
    for (const auto& each : CommandDirectory(*options.directory).load()) {
      if (each.number == *options.number) print_standings(each, known);
    }
  }
  return has_failed(command) ? 1 : 0;
}

int show_commands(const CommandOptions& options) {
  const Given given = commands_of(options);
  if (options.number) {
    for (const ordered_json& each : given.commands) {
      if (each["number"] == *options.number) return show_one(options, each);
    }
    if (!given.damaged.empty()) throw fleet::damaged_commands(given.damaged);
    throw ConfigError(fmt::format("there is no command {}", *options.number),
                      is_address(*options.directory)
                          ? "\"commands\" without a number shows the newest; the fleet's directory "
                            "has those before"
                          : "\"commands\" without a number shows those there are");
  }
  for (const ordered_json& each : given.commands) {
    if (options.json) {
      fmt::print("{}", json_line(each));
    } else {
      print_command(each);
    }
  }
  if (!given.damaged.empty()) throw fleet::damaged_commands(given.damaged);
  if (given.commands.empty() && !options.json) {
    fmt::print("no commands: nobody has asked the hosts for anything\n");
  }
  return 0;
}

void add_command(CLI::App& command, const std::shared_ptr<CommandOptions>& options) {
  command.add_option("KIND", options->asked.command.kind, "what they are to do")
      ->required()
      ->check(CLI::IsMember(program::command_kinds()));
  command.add_option("--table", options->tables, "of reseed: a table; may be repeated")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
  command.add_option("--source", options->source, "of reseed: of several sources the one");
  command.add_flag("--whole", options->whole, "of reseed: copy the tables whole");
  command.add_option("--size", options->size, "of sample: 1%, or about so many rows (default: 1%)");
  command.add_option("--keep", options->keep, "of snapshot: which older ones stay: 7d,4w, or 10");
  command.add_option_function<std::string>(
      "--name",
      [options](const std::string& pattern) {
        options->asked.name = pattern;
        options->has_name = true;
      },
      "the mirrors that it is for, as a pattern of the shell");
  program::add_label_option(command, options->labels,
                            "KEY=VALUE that they have, a pattern too; may be repeated");
  command.add_option("--expires", options->expires, "who has not begun by then does not begin")
      ->capture_default_str();
  command.add_option("-m,--message", options->asked.command.text, "why, for the log");
  command.add_option("--author", options->author, "who asks for it (default: who runs this)");
}

}  // namespace

std::string own_user_name() {
  const passwd* const user = getpwuid(getuid());
  return user != nullptr ? user->pw_name : fmt::format("uid {}", getuid());
}

void add_fleet_commands(CLI::App& fleet, const std::shared_ptr<const std::string>& directory,
                        Chosen& chosen) {
  auto options = std::make_shared<CommandOptions>();
  options->directory = directory;
  const auto add = [&](const std::string& name, const std::string& what,
                       int (*act)(const CommandOptions&)) -> CLI::App& {
    return add_acting(fleet, name, what, options, chosen, act);
  };
  CLI::App& give =
      add("command", "ask hosts that accept it to do something, each of them once", give_command);
  add_command(give, options);
  give.footer(
      "Examples:\n"
      "  daystream fleet /etc/deltaflood/fleet command sample --size 0.1% --name 'edge-*'\n"
      "  daystream fleet /etc/deltaflood/fleet command reseed --table flights --label region=eu\n"
      "  daystream fleet /etc/deltaflood/fleet command restart --name edge7 --expires 1h");
  CLI::App& list = add("commands", "what was asked for, and what became of it", show_commands);
  list.add_option("N", options->number, "that one, mirror by mirror");
  program::add_json_flag(list, options->json);
  CLI::App& withdraw =
      add("withdraw", "let nobody begin with a command any more", withdraw_command);
  withdraw.add_option("N", options->number, "its number")->required();
  withdraw.add_option("--author", options->author, "who says so (default: who runs this)");
}

}  // namespace daystream::command
