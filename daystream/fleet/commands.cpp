#include "fleet/commands.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <utility>

#include "calendar.h"
#include "daystream/error.h"
#include "dir.h"
#include "fleet/fleet.h"
#include "json_text.h"
#include "lock.h"
#include "number.h"
#include "program/json.h"

namespace daystream::fleet {

using nlohmann::json;
using nlohmann::ordered_json;
using program::text_of;

namespace {

constexpr std::size_t kMostShown = 20;
// What became of commands is known of so many; the host has its own list.
constexpr std::size_t kMostRemembered = 200;
// Those that expired so long ago are dropped, all but the newest few, when another is given.
constexpr std::chrono::hours kKeptFor{31 * 24};
constexpr std::size_t kKept = 100;

std::string command_file(std::uint64_t number) {
  return fmt::format("{}.json", number);
}

// A directory that comes from a backup gives a number again, and never an id.
std::string new_id(std::uint64_t number) {
  std::random_device random;
  return fmt::format("{}-{:08x}{:08x}", number, random(), random());
}

ordered_json file_json(const FleetCommand& command) {
  ordered_json out;
  out["number"] = command.number;
  out.update(program::to_json(command.command));
  out["name"] = command.name;
  out["labels"] = command.labels;
  out["time"] = utc_text(command.time);
  out["withdrawn_by"] =
      command.withdrawn_by.empty() ? ordered_json() : ordered_json(command.withdrawn_by);
  return out;
}

// nullopt: it is none.
std::optional<FleetCommand> parse_file(const std::string& text, std::uint64_t number) {
  const json root = program::parse_json<json>(text);
  try {
    auto command = program::parse_command(root);
    const auto time = parse_utc_text(text_of(root, "time"));
    if (!command || !time || root.at("number").get<std::uint64_t>() != number) return std::nullopt;
    return FleetCommand{number,
                        std::move(*command),
                        root.at("name").get<std::string>(),
                        root.at("labels").get<Labels>(),
                        *time,
                        text_of(root, "withdrawn_by")};
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

std::string command_state(const FleetCommand& command, std::int64_t now) {
  if (!command.withdrawn_by.empty()) return "withdrawn";
  return command.is_open(now) ? "open" : "expired";
}

}  // namespace

bool FleetCommand::concerns(const std::string& mirror, const Labels& of_mirror) const {
  return fits_mirror(name, labels, mirror, of_mirror);
}

bool FleetCommand::is_open(std::int64_t now) const noexcept {
  return withdrawn_by.empty() && at_second(now) < command.expires;
}

CommandDirectory::CommandDirectory(const std::filesystem::path& fleet) : path_(fleet / kFolder) {}

bool CommandDirectory::exists() const {
  std::error_code error;
  return std::filesystem::is_directory(path_, error);
}

std::vector<FleetCommand> CommandDirectory::load(std::vector<std::string>* damaged) const {
  std::vector<FleetCommand> out;
  if (!exists()) return out;
  const auto dir = real_dir(path_);
  for (const std::string& name : dir->list()) {
    if (!name.ends_with(".json")) continue;
    const auto number = parse_number<std::uint64_t>(name.substr(0, name.size() - 5));
    if (!number || command_file(*number) != name) continue;
    const auto file = dir->open(name);
    if (!file) continue;
    if (auto command = parse_file(read_whole(*file), *number)) {
      out.push_back(std::move(*command));
    } else if (damaged != nullptr) {
      damaged->push_back(file->path());
    }
  }
  std::sort(out.begin(), out.end(),
            [](const auto& a, const auto& b) { return a.number < b.number; });
  return out;
}

void CommandDirectory::save(const FleetCommand& command) const {
  replace_file(*real_dir(path_), command_file(command.number), json_page(file_json(command)));
}

namespace {

UniqueFd lock_commands(const std::filesystem::path& path) {
  return lock_file(path / "lock", {"list of commands", path,
                                   "wait until that is done: a command is given in a moment"});
}

}  // namespace

FleetCommand CommandDirectory::issue(FleetCommand command) const {
  program::check_command(command.command.kind, command.command.arguments);
  make_directory(path_);
  const UniqueFd lock = lock_commands(path_);
  std::vector<std::string> damaged;
  const std::vector<FleetCommand> before = load(&damaged);
  if (!damaged.empty()) throw damaged_commands(damaged);
  command.time = at_second(std::time(nullptr));
  const std::int64_t now = command.time.time_since_epoch().count();
  if (command.command.expires <= command.time ||
      command.command.expires > command.time + kLongest) {
    throw ConfigError("a command expires later than now, and within 31 days",
                      "give it --expires 1h, or leave that out");
  }
  if (static_cast<std::size_t>(std::count_if(before.begin(), before.end(), [&](const auto& each) {
        return each.is_open(now);
      })) >= kMostOpen) {
    throw ConfigError(fmt::format("{} commands are open already", kMostOpen),
                      "wait until some have expired, or withdraw them");
  }
  command.number = before.empty() ? 1 : before.back().number + 1;
  command.command.id = new_id(command.number);
  save(command);
  const auto dir = real_dir(path_);
  for (std::size_t i = 0; i + kKept < before.size(); ++i) {
    if (before[i].command.expires + kKeptFor < command.time)
      dir->remove(command_file(before[i].number));
  }
  return command;
}

FleetCommand CommandDirectory::withdraw(std::uint64_t number, const std::string& by) const {
  std::vector<FleetCommand> all;
  UniqueFd lock;
  if (exists()) {
    lock = lock_commands(path_);
    std::vector<std::string> damaged;
    all = load(&damaged);
    for (const std::string& file : damaged) {
      if (file.ends_with("/" + command_file(number))) throw damaged_commands({file});
    }
  }
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const auto& each) { return each.number == number; });
  if (found == all.end()) {
    throw ConfigError(fmt::format("there is no command {}", number),
                      "\"daystream fleet DIR commands\" shows those there are");
  }
  if (!found->is_open(std::time(nullptr))) {
    throw ConfigError(
        fmt::format("command {} is {} already", number, command_state(*found, std::time(nullptr))),
        "no host begins with it any more");
  }
  found->withdrawn_by = by;
  save(*found);
  return *found;
}

NeedsPerson damaged_commands(const std::vector<std::string>& files) {
  return NeedsPerson(
      fmt::format("command \"{}\" is damaged", fmt::join(files, "\", \"")),
      "bring it back from a backup, or remove it and ask again: no host begins with it");
}

bool accepts(const MirrorReport& mirror, const std::string& kind) {
  return std::find(mirror.accepts.begin(), mirror.accepts.end(), kind) != mirror.accepts.end();
}

std::string standing_of(const FleetCommand& command, const MirrorReport& mirror,
                        const std::map<std::string, CommandOutcome>& outcomes, std::int64_t now) {
  const auto found = outcomes.find(mirror.name);
  if (found != outcomes.end()) return found->second.state;
  if (!command.is_open(now) || !command.concerns(mirror.name, mirror.labels)) return {};
  return accepts(mirror, command.command.kind) ? "waiting" : "not accepted";
}

ordered_json to_json(const FleetCommand& command,
                     const std::vector<std::shared_ptr<const MirrorReport>>& mirrors,
                     const std::map<std::string, CommandOutcome>& outcomes, std::int64_t now) {
  ordered_json out = file_json(command);
  out["state"] = command_state(command, now);
  std::map<std::string, std::size_t> counts;
  for (const auto& [mirror, outcome] : outcomes) ++counts[outcome.state];
  // Only of one that is open there is something to wait for: of most nothing more is looked at.
  for (std::size_t i = 0; command.is_open(now) && i < mirrors.size(); ++i) {
    if (outcomes.contains(mirrors[i]->name)) continue;
    const std::string standing = standing_of(command, *mirrors[i], outcomes, now);
    if (!standing.empty()) ++counts[standing];
  }
  out["mirrors"] = counts;
  return out;
}

void CommandBook::hear(std::vector<FleetCommand> commands) {
  commands_ = std::move(commands);
  const std::size_t first =
      commands_.size() > kMostRemembered ? commands_.size() - kMostRemembered : 0;
  std::set<std::string> known;
  for (std::size_t i = first; i < commands_.size(); ++i) known.insert(commands_[i].command.id);
  std::erase_if(outcomes_, [&](const auto& each) { return !known.contains(each.first); });
}

const std::map<std::string, CommandOutcome>& CommandBook::outcomes(const std::string& id) const {
  static const std::map<std::string, CommandOutcome> none;
  const auto found = outcomes_.find(id);
  return found == outcomes_.end() ? none : found->second;
}

// A host that says what is not so says it of itself alone. What is over stays so.
std::vector<CommandOutcome> CommandBook::tell(const MirrorReport& mirror) {
  std::vector<CommandOutcome> news;
  for (const CommandOutcome& outcome : mirror.outcomes) {
    const bool is_its = std::any_of(commands_.begin(), commands_.end(), [&](const auto& each) {
      return each.command.id == outcome.id && each.concerns(mirror.name, mirror.labels);
    });
    if (!is_its) continue;
    auto& known = outcomes_[outcome.id];
    const auto before = known.find(mirror.name);
    if (before != known.end() && (before->second.is_final() || outcome.state == "running"))
      continue;
    CommandOutcome heard = outcome;
    heard.at = at_second(mirror.told_at);  // by the clock of this host
    known[mirror.name] = heard;
    news.push_back(std::move(heard));
  }
  return news;
}

bool CommandBook::is_due(const FleetCommand& command, const MirrorReport& mirror,
                         std::int64_t now) const {
  return standing_of(command, mirror, outcomes(command.command.id), now) == "waiting";
}

ordered_json CommandBook::orders_for(const MirrorReport& mirror, std::int64_t now) const {
  ordered_json due = ordered_json::array();
  ordered_json withdrawn = ordered_json::array();
  for (const FleetCommand& command : commands_) {
    if (is_due(command, mirror, now)) due.push_back(program::to_json(command.command));
    if (command.withdrawn_by.empty()) continue;
    const auto& known = outcomes(command.command.id);
    const auto at = known.find(mirror.name);
    if (at != known.end() && !at->second.is_final()) withdrawn.push_back(command.command.id);
  }
  ordered_json out = ordered_json::object();
  if (!due.empty()) out["commands"] = std::move(due);
  if (!withdrawn.empty()) out["withdrawn"] = std::move(withdrawn);
  return out;
}

std::uint64_t CommandBook::newest_for(const MirrorReport& mirror, std::int64_t now) const {
  for (auto each = commands_.rbegin(); each != commands_.rend(); ++each) {
    if (is_due(*each, mirror, now)) return each->number;
  }
  return 0;
}

ordered_json CommandBook::summary(const FleetView& view) const {
  ordered_json out = ordered_json::array();
  for (auto each = commands_.rbegin(); each != commands_.rend() && out.size() < kMostShown;
       ++each) {
    out.push_back(to_json(*each, view.mirrors, outcomes(each->command.id), view.now));
  }
  return out;
}

}  // namespace daystream::fleet
