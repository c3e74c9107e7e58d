// deltamirror seed: makes a mirror, or adds tables to one.
#include "seed/seed.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <utility>

#include "command/commands.h"
#include "command/table_arguments.h"
#include "command/table_commands.h"
#include "config/source_places.h"
#include "program/check_report.h"
#include "program/common_flags.h"
#include "seed/check_seed.h"
#include "snapshot/from_snapshot.h"
#include "store/mirror_file.h"

namespace deltamirror {

namespace {

struct SeedArguments {
  TableCommand command;
  std::string from;
  TableChoice choice;
  bool check = false;
  bool json = false;
  bool all = false;
};

int check(const SeedArguments& options, const daystream::program::Signals& signals) {
  daystream::program::CheckReport report(options.json);
  const std::string& mirror = options.command.mirror;
  const std::filesystem::path folder = std::filesystem::absolute(mirror).parent_path();
  report.check_directory(folder);
  report.check_room(folder);
  report.check("mirror", [&] {
    check_absent(mirror);
    return fmt::format("\"{}\" will be made", mirror);
  });
  const bool named = options.command.places.daystream || !options.choice.config.sources.empty();
  if (!named) {
    report.check("daystream", []() -> std::string {
      throw daystream::ConfigError("no daystream specified", "a new mirror needs --daystream DIR");
    });
  }
  check_seed({mirror, options.command.places.conninfo.value_or(""),
              options.command.places.daystream, options.choice.config},
             options.all, signals, report);
  return report.exit_code();
}

int run(const SeedArguments& options, const AddWithStream& add_with_stream,
        daystream::program::Signals& signals) {
  const std::string& mirror = options.command.mirror;
  const MirrorConfig& config = options.choice.config;
  if (options.check) return check(options, signals);
  if (!options.from.empty()) {
    fetch_mirror(mirror, open_stream(options.from), signals);
    return 0;
  }
  if (std::filesystem::exists(mirror) && config.sources.empty()) {
    add_tables(options.command, config, add_with_stream, signals);
    return 0;
  }
  seed({mirror, options.command.places.conninfo.value_or(""), options.command.places.daystream,
        config},
       signals);
  return 0;
}

}  // namespace

void add_seed(CLI::App& app, Chosen& chosen, AddWithStream add_with_stream) {
  auto options = std::make_shared<SeedArguments>();
  CLI::App& command = *app.add_subcommand(
      "seed", "make a mirror from one snapshot of PostgreSQL; add tables to one that is there");
  add_mirror_option(command, options->command.mirror);
  add_connection_option(command, options->command.places.conninfo);
  add_daystream_option(command, options->command.places.daystream)
      ->description(
          "directory of the daystream, its http(s):// or nats:// URL, or s3:// archive; not needed "
          "to add "
          "tables");
  add_table_choice(command, options->choice);
  add_from_option(command, options->from);
  add_source_option(command, options->command.places.source,
                    "of several sources the one that has the tables to add");
  auto* const check_flag = command.add_flag(
      "--check", options->check,
      "look at all that this needs, say what is missing and what each column becomes, "
      "and copy nothing");
  daystream::program::add_json_flag(command, options->json, daystream::program::kJsonChecks)
      ->needs(check_flag);
  daystream::program::add_all_flag(command, options->all, "column")->needs(check_flag);
  command.footer(
      "Examples:\n"
      "  deltamirror seed flights.db -d service=prod --daystream /var/lib/daystream/prod \\\n"
      "              --table flights --table ops.positions --as positions\n"
      "      copy two tables as they are at one moment\n"
      "  deltamirror seed small.db -d service=prod --daystream prod \\\n"
      "              --table flights --query \"SELECT id, origin, destination FROM flights\"\n"
      "      some columns of a table\n"
      "  deltamirror seed mine.db -d service=prod --daystream prod \\\n"
      "              --table flights --columns id,status,region --where \"region = 'eu'\" \\\n"
      "              --table orders --mode history\n"
      "      some columns and rows of a table; and every change of another\n"
      "  deltamirror seed flights.db --table ops.crews -d service=prod\n"
      "      one table more, while it runs\n"
      "  deltamirror seed flights.db -d service=prod --daystream prod --table flights --check\n"
      "      what is missing for that, before it begins\n"
      "  deltamirror seed all.db --config all.json\n"
      "      several sources");
  command.callback([options, &command, &chosen, add = std::move(add_with_stream)] {
    take_table_choice(command, options->choice, options->from);
    chosen = [options, add](daystream::program::Signals& signals) {
      return run(*options, add, signals);
    };
  });
}

}  // namespace deltamirror
