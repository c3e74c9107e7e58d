// daystream group: shows consumer groups and steers them.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "commands.h"
#include "daystream/error.h"
#include "group_look.h"
#include "group_worker.h"
#include "json_text.h"
#include "program/common_flags.h"
#include "program/figures.h"
#include "program/usage.h"
#include "program/when.h"
#include "sharing/dead_letters.h"
#include "sharing/file_store.h"

namespace daystream::command {

namespace {

using nlohmann::ordered_json;
using sharing::DeadLetter;
using sharing::DeadLetters;
using sharing::FileStore;

struct GroupCommandOptions {
  std::string source;
  std::string folder;
  std::string group;
  std::string to;
  std::vector<std::string> letters;
  bool all = false;
  bool json = false;
};

std::filesystem::path folder_of_groups(const GroupCommandOptions& options, const Stream& stream) {
  if (options.folder.empty()) static_cast<void>(stream.manifest());  // or it is no stream
  return groups_folder(stream, options.folder);
}

FileStore store_of(const GroupCommandOptions& options, const Stream& stream) {
  return FileStore(FileStore::folder_of(folder_of_groups(options, stream), options.group));
}

void print(const std::string& text) {
  fmt::print("{}", text);
}

int list(const GroupCommandOptions& options, const Stream& stream) {
  const auto folder = folder_of_groups(options, stream);
  ordered_json all = ordered_json::array();
  for (const std::string& name : FileStore::names(folder)) {
    FileStore store(FileStore::folder_of(folder, name));
    const auto members = store.members();
    const auto now = sharing::boot_time();
    const auto live =
        std::count_if(members.begin(), members.end(),
                      [&](const sharing::Member& member) { return member.lives(now); });
    const bool paused = store.is_paused();
    if (!options.json) {
      print(fmt::format("{}: by {} into {}, {}{}\n", name, by_name(store.rule().by),
                        program::counted(store.rule().into, "part"),
                        program::counted(static_cast<std::uint64_t>(live), "worker"),
                        paused ? ", paused" : ""));
    }
    all.push_back({{"group", name},
                   {"by", by_name(store.rule().by)},
                   {"into", store.rule().into},
                   {"workers", live},
                   {"paused", paused}});
  }
  if (options.json) print(json_page(all));
  return 0;
}

std::string position_text(Position position) {
  return position == Position::begin() ? "" : position.text();
}

std::string text_of(const sharing::GroupStatus& status, std::int64_t now) {
  std::string text = fmt::format(
      "group {}: by {} into {}, {}{}\n", status.name, by_name(status.rule.by),
      program::counted(status.rule.into, "part"), program::counted(status.workers.size(), "worker"),
      status.paused ? ", paused" : "");
  text += fmt::format("{:>5} {:<22} {:>6} {:<22} {:>12} {:>8} {:>6} {:>5}\n", "part", "worker",
                      "epoch", "done up to", "behind, B", "behind,s", "again", "dead");
  for (const sharing::PartStatus& part : status.parts) {
    const sharing::PartRecord& record = part.record;
    const auto seconds = part.lag_seconds(now);
    text += fmt::format(
        "{:>5} {:<22} {:>6} {:<22} {:>12} {:>8} {:>6} {:>5}\n", part.part,
        part.held ? record.holder : "-", record.epoch, position_text(record.position),
        part.lag_bytes ? std::to_string(*part.lag_bytes) : "gone",
        seconds ? std::to_string(*seconds) : "-", record.redeliveries, part.dead_letters);
    if (!record.problem.empty()) text += fmt::format("      {}\n", record.problem);
  }
  return text;
}

int status(const GroupCommandOptions& options, const Stream& stream) {
  FileStore store = store_of(options, stream);
  const sharing::GroupStatus status = group_status(stream, store);
  const std::int64_t now = std::time(nullptr);
  print(options.json ? json_page(to_json(status, now)) : text_of(status, now));
  return 0;
}

int pause(const GroupCommandOptions& options, const Stream& stream, bool paused) {
  store_of(options, stream).set_paused(paused);
  return 0;
}

// After which line the parts are to go on.
Position target(const std::string& to, const Stream& stream) {
  if (to == "begin") return Position::begin();
  if (to == "end") {
    const auto bounds = stream.extent();
    return bounds ? bounds->last : Position::begin();
  }
  const program::When when = program::parse_when("--to", to, std::time(nullptr));
  if (const auto* position = std::get_if<Position>(&when)) return *position;
  if (const auto* time = std::get_if<program::Time>(&when)) return {time->seconds - 1, UINT64_MAX};
  throw ConfigError(fmt::format("--to takes no LSN, such as \"{}\"", to),
                    "give a position, a time, \"begin\" or \"end\"");
}

// By a new epoch, so that whoever has a part loses it.
int reset(const GroupCommandOptions& options, const Stream& stream) {
  FileStore store = store_of(options, stream);
  const Position position = target(options.to, stream);
  for (std::uint32_t part = 0; part < store.rule().into; ++part) {
    sharing::PartRecord next;
    do {
      next = store.part(part);
      ++next.epoch;
      next.holder.clear();
      next.position = position;
      next.lsn.reset();
      next.failures = 0;
      next.careful = false;
      next.problem.clear();
    } while (!store.take(part, next));
  }
  return 0;
}

int drop(const GroupCommandOptions& options, const Stream& stream) {
  FileStore store = store_of(options, stream);
  const auto now = sharing::boot_time();
  for (const sharing::Member& member : store.members()) {
    if (!member.lives(now)) continue;
    throw Error(
        fmt::format("consumer group \"{}\" has a worker, process {}", options.group, member.pid),
        "end all of its workers first; those that were killed count until their lease ends");
  }
  store.drop();
  return 0;
}

int dead(const GroupCommandOptions& options, const Stream& stream) {
  const DeadLetters letters(store_of(options, stream).folder());
  ordered_json all = ordered_json::array();
  for (const DeadLetter& letter : letters.list()) {
    if (!options.json) {
      print(fmt::format("{}  {}  {} B, {}{}\n    {}\n    {}\n", letter.name(), letter.since,
                        letter.size_bytes, program::counted(letter.failures, "failure"),
                        letter.to_retry ? ", to be tried again" : "", letter.problem,
                        letters.lines_of(letter).string()));
    }
    all.push_back({{"letter", letter.name()},
                   {"part", letter.part},
                   {"position", letter.position.text()},
                   {"since", letter.since},
                   {"size_bytes", letter.size_bytes},
                   {"failures", letter.failures},
                   {"problem", letter.problem},
                   {"to_retry", letter.to_retry},
                   {"file", letters.lines_of(letter).string()}});
  }
  if (options.json) print(json_page(all));
  return 0;
}

// Those that were named, each of which must be there, or all.
std::vector<DeadLetter> chosen_letters(const GroupCommandOptions& options,
                                       const DeadLetters& letters) {
  std::vector<DeadLetter> all = letters.list();
  if (options.all) return all;
  std::vector<DeadLetter> some;
  for (const std::string& name : options.letters) {
    const auto found = std::find_if(
        all.begin(), all.end(), [&](const DeadLetter& letter) { return letter.name() == name; });
    if (found == all.end()) {
      throw Error(
          fmt::format("consumer group \"{}\" has no dead letter \"{}\"", options.group, name),
          "\"daystream group STREAM dead\" shows those there are");
    }
    some.push_back(*found);
  }
  return some;
}

int retry(const GroupCommandOptions& options, const Stream& stream) {
  DeadLetters letters(store_of(options, stream).folder());
  for (DeadLetter& letter : chosen_letters(options, letters)) {
    letter.to_retry = true;
    letters.update(letter);
  }
  return 0;
}

int discard(const GroupCommandOptions& options, const Stream& stream) {
  DeadLetters letters(store_of(options, stream).folder());
  for (const DeadLetter& letter : chosen_letters(options, letters)) letters.remove(letter);
  return 0;
}

using Act = int (*)(const GroupCommandOptions&, const Stream&);

// Adds a subcommand; `act` is what it does.
CLI::App& add_act(CLI::App& app, Chosen& chosen,
                  const std::shared_ptr<GroupCommandOptions>& options,
                  const std::pair<std::string, std::string>& said, Act act) {
  CLI::App& command = *app.add_subcommand(said.first, said.second);
  command.fallthrough();
  if (act != list) {
    command.add_option("GROUP", options->group, "the name of the consumer group")->required();
  }
  command.callback([options, &chosen, act] {
    chosen = [options, act](const Reach& reach) {
      return act(*options, reach.streams.open(options->source));
    };
  });
  return command;
}

void add_letters(CLI::App& command, const std::shared_ptr<GroupCommandOptions>& options) {
  auto* names = command.add_option("LETTER", options->letters, "as \"dead\" shows them");
  command.add_flag("--all", options->all, "all there are")->excludes(names);
  command.parse_complete_callback([options] {
    if (options->letters.empty() && !options->all) {
      program::usage("which dead letters? Name them, or give --all");
    }
  });
}

}  // namespace

void add_group(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<GroupCommandOptions>();
  CLI::App& command = *app.add_subcommand("group", "show consumer groups, and steer them");
  command.add_option("STREAM", options->source, "the daystream's directory")->required();
  command.add_option("--groups", options->folder,
                     "where groups are kept (default: STREAM/.groups)");
  command.require_subcommand(1);
  const auto add = [&](const std::string& name, const std::string& what, Act act) -> CLI::App& {
    return add_act(command, chosen, options, {name, what}, act);
  };
  program::add_json_flag(add("list", "the groups there are", list), options->json);
  program::add_json_flag(add("status", "workers, parts, and how far behind they are", status),
                         options->json);
  add("pause", "let the workers finish what they were handed, and hand them nothing more",
      [](const GroupCommandOptions& o, const Stream& s) { return pause(o, s, true); });
  add("resume", "end a pause",
      [](const GroupCommandOptions& o, const Stream& s) { return pause(o, s, false); });
  add("reset", "go on elsewhere in the stream", reset)
      .add_option("--to", options->to, "after this position, C/S, or at a time; \"begin\"; \"end\"")
      ->required();
  add("drop", "forget the group, with its dead letters", drop);
  program::add_json_flag(add("dead", "show the dead letters", dead), options->json);
  add_letters(add("retry", "hand dead letters over once more", retry), options);
  add_letters(add("discard", "forget dead letters", discard), options);
  command.footer(
      "A consumer group is made by \"daystream consume --group\", whose processes are its "
      "workers.\n\n"
      "Examples:\n"
      "  daystream group /srv/prod status mail\n"
      "  daystream group /srv/prod reset mail --to \"yesterday 14:00\"\n"
      "  daystream group /srv/prod dead mail\n"
      "  daystream group /srv/prod retry mail --all");
}

}  // namespace daystream::command
