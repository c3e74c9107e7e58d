#include "command/table_commands.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "apply/holding.h"
#include "command/commands.h"
#include "config/made_streams.h"
#include "daystream/line.h"
#include "daystream/manifest.h"
#include "history/history_tables.h"
#include "owner/control.h"
#include "program/figures.h"
#include "program/hint.h"
#include "seed/progress.h"
#include "seed/requests.h"
#include "store/checkpoint.h"
#include "store/mirror_file.h"
#include "store/mirror_lock.h"

namespace deltamirror {

using daystream::ConfigError;
using nlohmann::json;

namespace {

// The owner reads the daystream that it was started with, whatever this command is given.
void check_daystream_of_owner(const TableCommand& command) {
  const int owner = MirrorLock::holder(command.mirror);
  if (!command.places.daystream || owner == 0) return;
  const std::string place =
      load_checkpoint(open_for_reading(command.mirror), command.places.source).directory;
  if (open_stream(place).absolute_address() == command.places.daystream.absolute_address()) {
    return;
  }
  throw ConfigError(
      fmt::format("process {} owns mirror \"{}\" and reads daystream \"{}\", not \"{}\"", owner,
                  command.mirror, place, command.places.daystream.address()),
      "leave out --daystream, or end that process first");
}

// True: the owner has done it.
bool ask(const TableCommand& command, json request, const std::string& what,
         const daystream::program::Signals& signals) {
  check_daystream_of_owner(command);
  if (command.places.conninfo) request["conninfo"] = *command.places.conninfo;
  if (!command.places.source.empty()) request["source"] = command.places.source;
  std::optional<ProgressLine> progress;
  const auto answer = ask_owner(command.mirror, request, signals, [&](const json& running) {
    if (running.contains("waits")) {
      spdlog::warn("{}", running["waits"].get<std::string>());
      return;
    }
    if (!progress) progress.emplace(what, running.value("expected_rows", -1.0));
    progress->update(running.value("rows", std::uint64_t{0}));
  });
  if (!answer) return false;
  for (const json& note : answer->value("notes", json::array())) {
    spdlog::warn("{}", note.get<std::string>());
  }
  if (progress) progress->finish(answer->value("rows", std::uint64_t{0}));
  return true;
}

// What is said of the progress.
std::string seeding(const std::vector<std::string>& tables) {
  if (tables.size() > 3) return "seeding " + daystream::program::counted(tables.size(), "table");
  return fmt::format("seeding {}", fmt::join(tables, ", "));
}

void seed_by_ourselves(const TableCommand& command, std::vector<TableRequest> tables,
                       daystream::program::Signals& signals) {
  const SourcePlace place = source_places(open_for_reading(command.mirror), command.places).front();
  RunOptions options;
  options.mirror = command.mirror;
  options.source = command.places.source;
  options.daystream = place.daystream;
  options.conninfo = place.conninfo.value_or("");
  options.end.seed_now = std::move(tables);
  run_mirror(options, control_of(signals));
}

// Whose `tables` are: as said, or the only source that has them all.
std::string source_of(const Database& db, const std::vector<std::string>& tables,
                      const std::string& said) {
  if (!said.empty()) return load_checkpoint(db, said).source;
  const std::vector<Checkpoint> all_sources = load_checkpoints(db);
  if (all_sources.size() == 1) return all_sources.front().source;
  std::vector<std::string> have;
  for (const Checkpoint& at : all_sources) {
    const std::vector<MirroredTable> own = load_tables_of(db, at.source);
    const bool all = std::all_of(tables.begin(), tables.end(), [&](const std::string& name) {
      return std::any_of(own.begin(), own.end(), [&](const MirroredTable& table) {
        return table.name == name || shown_name(table) == name;
      });
    });
    if (all) have.push_back(at.source);
  }
  if (have.size() == 1) return have.front();
  throw ConfigError(have.empty()
                        ? "no source of the mirror has all of these tables"
                        : fmt::format("the sources {} have such tables", fmt::join(have, ", ")),
                    "say which source with --source NAME");
}

// The stream of a mirror that `up` has made follows at its next start. Another one may have other
// readers: to leave tables out of it is for who runs it.
void say_what_holds_them_still(const TableCommand& command, const std::vector<std::string>& names,
                               const std::vector<MirroredTable>& tables) {
  if (std::filesystem::exists(record_file(command.mirror))) {
    spdlog::info(
        "the stream leaves them out once \"up\" is started again, unless its command line or "
        "configuration still names them");
    return;
  }
  const std::string place =
      load_checkpoint(open_for_reading(command.mirror), command.places.source).directory;
  const auto directory = open_stream(place).directory();
  if (!directory || !std::filesystem::exists(*directory / "daystream.json")) return;
  const daystream::Holding held = daystream::Manifest::load(*directory).holdings.back();
  for (const std::string& name : names) {
    const std::string line_name = daystream::unescape(find_table(tables, name).shape.line_name);
    if (held.tables.empty() || line_name.empty() || !held.holds(line_name)) continue;
    spdlog::info("{}", daystream::program::with_hint(
                           fmt::format("daystream \"{}\" still holds table {}: its tables are "
                                       "\"{}\"",
                                       place, line_name, held.tables),
                           how_to_change(held, line_name, "DROP",
                                         "where nobody else reads it, start deltastream without "
                                         "it in --tables")));
  }
}

}  // namespace

void add_tables(const TableCommand& asked, const MirrorConfig& config,
                const AddWithStream& add_with_stream, daystream::program::Signals& signals) {
  TableCommand command = asked;
  command.places.source =
      load_checkpoint(open_for_reading(command.mirror), asked.places.source).source;
  command.places.config_file.clear();  // it names what to add, not where the mirror is read
  json request = {{"request", "seed"}, {"tables", json::array()}};
  std::vector<std::string> names;
  for (const TableRequest& table : config.tables) {
    request["tables"].push_back(to_json(table));
    names.push_back(name_for(table));
  }
  for (const MirroredTable& table : load_tables(open_for_reading(command.mirror))) {
    for (const TableRequest& wanted : config.tables) {
      if (name_for(wanted) != table.name) continue;
      throw daystream::NeedsPerson(
          fmt::format("mirror \"{}\" has table \"{}\" already", command.mirror, table.name),
          "\"deltamirror reseed\" copies it again; for a new mirror name another file");
    }
  }
  if (ask(command, request, seeding(names), signals)) return;
  if (add_with_stream(command, config, signals)) return;
  seed_by_ourselves(command, config.tables, signals);
}

void reseed_tables(const TableCommand& asked, const std::vector<std::string>& names,
                   daystream::program::Signals& signals) {
  TableCommand command = asked;
  const Database mirror = open_for_reading(command.mirror);
  command.places.source = source_of(mirror, names, asked.places.source);
  const std::vector<MirroredTable> tables = load_tables_of(mirror, command.places.source);
  // Apart, as rows without a key cannot be mended one by one.
  std::vector<std::string> with_key;
  std::vector<std::string> others;
  for (const std::string& name : names) {
    const MirroredTable& table = find_table(tables, name);
    (table.key().empty() || table.mode != TableMode::Mirror ? others : with_key)
        .push_back(table.name);
  }
  std::vector<TableRequest> requests;
  for (const auto& group : {with_key, others}) {
    if (group.empty()) continue;
    const json request = {{"request", "reseed"}, {"tables", group}, {"whole", command.whole}};
    if (ask(command, request, seeding(group), signals)) continue;
    for (const std::string& name : group) requests.push_back(request_for(find_table(tables, name)));
  }
  if (!requests.empty()) seed_by_ourselves(command, std::move(requests), signals);
}

void remove_tables(const TableCommand& asked, const std::vector<std::string>& names,
                   const daystream::program::Signals& signals) {
  TableCommand command = asked;
  command.places.source = source_of(open_for_reading(command.mirror), names, asked.places.source);
  if (ask(command, {{"request", "remove"}, {"tables", names}}, "removing", signals)) return;
  const MirrorLock owner(command.mirror);
  Database db = open_owned(command.mirror);
  const std::vector<MirroredTable> tables = load_tables_of(db, command.places.source);
  WriteTransaction transaction(db);
  for (const std::string& wanted : names) {
    const MirroredTable& table = find_table(tables, wanted);
    remove_mirrored(db, table);
    spdlog::info("removed table \"{}\"", shown_name(table));
  }
  transaction.commit();
  say_what_holds_them_still(command, names, tables);
}

namespace {

struct TablesOptions {
  TableCommand command;
  std::vector<std::string> tables;
};

void add_tables_options(CLI::App& command, TablesOptions& options) {
  add_mirror_option(command, options.command.mirror);
  command
      .add_option("--table", options.tables,
                  "its name in the mirror or in PostgreSQL; may be repeated")
      ->required()
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
  add_source_option(command, options.command.places.source,
                    "of several sources the one whose tables they are");
}

}  // namespace

void add_reseed(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<TablesOptions>();
  CLI::App& command = *app.add_subcommand(
      "reseed", "make tables of a mirror the same as PostgreSQL's, while it runs");
  add_tables_options(command, *options);
  add_connection_option(command, options->command.places.conninfo);
  add_daystream_option(command, options->command.places.daystream);
  add_sources_config_option(command, options->command.places.config_file);
  command.add_flag("--whole", options->command.whole,
                   "copy them whole; else only rows that differ are written, where they are few");
  command.footer(
      "Examples:\n"
      "  deltamirror reseed flights.db --table flights\n"
      "  deltamirror reseed all.db --table orders --source eu --whole");
  command.callback([options, &chosen] {
    chosen = [options](daystream::program::Signals& signals) {
      reseed_tables(options->command, options->tables, signals);
      return 0;
    };
  });
}

void add_remove(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<TablesOptions>();
  CLI::App& command = *app.add_subcommand("remove", "take tables away from a mirror");
  add_tables_options(command, *options);
  command.footer(
      "Examples:\n"
      "  deltamirror remove flights.db --table ops_crews");
  command.callback([options, &chosen] {
    chosen = [options](daystream::program::Signals& signals) {
      remove_tables(options->command, options->tables, signals);
      return 0;
    };
  });
}

}  // namespace deltamirror
