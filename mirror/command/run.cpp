// deltamirror run: follows.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "command/commands.h"
#include "config/config.h"
#include "config/fleet_config.h"
#include "config/source_places.h"
#include "owner/fleet_commands.h"
#include "owner/fleet_report.h"
#include "program/common_flags.h"
#include "seed/seed.h"
#include "snapshot/from_snapshot.h"

namespace deltamirror {

namespace {

SourceLsn parse_until(const std::string& text) {
  const std::size_t equals = text.find('=');
  const auto lsn =
      daystream::Lsn::parse(equals == std::string::npos ? text : text.substr(equals + 1));
  if (!lsn) usage(fmt::format("invalid --until-lsn \"{}\": write it like 0/17B1480", text));
  return {equals == std::string::npos ? "" : text.substr(0, equals), *lsn};
}

// A configuration says what it takes to make the mirror, too, so that a service starts with nothing
// but that; and so does the address of a server with snapshots. False: asked to stop.
bool seed_first(RunOptions& run, const daystream::program::Signals& signals) {
  if (std::filesystem::exists(run.mirror)) return true;
  if (run.config_file.empty() && run.from.find("://") != std::string::npos) {
    const daystream::Stream server = open_stream(run.from);
    if (!run.daystream) run.daystream = server;
    return fetch_mirror(run.mirror, server, signals);
  }
  if (run.config_file.empty()) return true;
  spdlog::info("there is no mirror \"{}\" yet: seeding it with the tables of \"{}\"", run.mirror,
               run.config_file);
  seed({run.mirror, run.conninfo.value_or(""), run.daystream,
        run.fleet ? run.fleet->wanted() : load_config(run.config_file)},
       signals);
  return true;
}

// False: asked to stop.
bool fetch_config(RunOptions& run, const std::vector<std::string>& labels,
                  const daystream::program::Signals& signals) {
  if (!FleetConfig::is_address(run.config_file)) return true;
  run.fleet = std::make_shared<FleetConfig>(run.config_file, labels, run.mirror);
  // Without its descriptor: a SIGHUP has nothing to be read again yet.
  return run.fleet->begin({[&signals] { return signals.stop_requested(); }},
                          run.end.waits_out_trouble());
}

struct Options {
  RunOptions run;
  std::vector<std::string> until;
  std::vector<std::string> labels;
  std::vector<std::string> accepted;  // kinds of commands
};

// True: a command asks for a new start.
bool follow(Options& options, daystream::program::Signals& signals) {
  RunOptions& run = options.run;
  if (!fetch_config(run, options.labels, signals)) return false;
  if (run.fleet && !options.accepted.empty()) {
    run.commands = std::make_shared<FleetCommands>(run.mirror, options.accepted, *run.fleet,
                                                   run.conninfo, signals);
  }
  FleetReport report(run.fleet ? run.config_file : "", options.labels, run.mirror, run.fleet.get(),
                     run.commands.get());
  run.hear_wait = [&report](const std::string& reason) { report.waits_for(reason); };
  const auto metrics = metrics_of(run);
  const auto healthz = healthz_of(run);
  if (seed_first(run, signals)) run_mirror(run, control_of(signals));
  return run.commands && run.commands->wants_restart() && !signals.was_sent_stop();
}

void check_fleet_options(const Options& options) {
  if (!FleetConfig::is_address(options.run.config_file)) {
    if (!options.labels.empty()) usage("--label is about a --config from a server");
    if (!options.accepted.empty()) usage("--accept-commands is about a --config from a server");
  }
  if (!options.accepted.empty() && (options.run.end.once || !options.until.empty())) {
    usage("--accept-commands is for a run that goes on until it is told to stop");
  }
}

constexpr const char* kExamples =
    "Examples:\n"
    "  deltamirror run flights.db --daystream /var/lib/daystream/prod\n"
    "  deltamirror run flights.db -d service=prod --config flights.json\n"
    "      copies what no line of the stream has, and takes up what the configuration adds;\n"
    "      a mirror that is not there yet is seeded first\n"
    "  deltamirror run flights.db -d service=prod --config https://stream1:8447/fleet/edge7\n"
    "      the same, by a configuration that a server offers\n"
    "  deltamirror run flights.db -d service=prod --config https://stream1:8447/fleet/edge7 \\\n"
    "              --accept-commands verify,sample,reseed,restart\n"
    "      and it does what people ask of it there, as far as this list goes\n"
    "  deltamirror run copy.db --daystream https://stream1:8447/prod --once\n"
    "  deltamirror run copy.db --from https://stream1:8447/prod\n"
    "      without PostgreSQL: what no line has comes from a newer snapshot of that server; a\n"
    "      mirror that is not there yet begins as a copy of the newest";

}  // namespace

void add_run(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("run", "follow the daystream until told to stop");
  add_mirror_option(command, options->run.mirror);
  add_daystream_option(command, options->run.daystream);
  add_connection_option(command, options->run.conninfo);
  command.add_flag("--once", options->run.end.once, "end where the daystream ends now");
  command
      .add_option("--until-lsn", options->until,
                  "end with the last transaction up to this LSN; of several sources SOURCE=LSN for "
                  "each")
      ->type_name("[SOURCE=]LSN")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
  add_tables_config_option(command, options->run.config_file)
      ->type_name("FILE|URL")
      ->description(
          "JSON file, with comments if need be, with \"tables\", or \"sources\" with theirs, and "
          "\"extra_sql\", read again at SIGHUP; or https://HOST:PORT/fleet/NAME of a \"daystream "
          "serve --fleet\", whose changes are followed");
  daystream::program::add_label_option(
      command, options->labels, "KEY=VALUE that rules of the fleet may ask for; may be repeated");
  command
      .add_option_function<std::string>(
          "--accept-commands",
          [options](const std::string& list) {
            options->accepted = FleetCommands::parse_kinds(list);
          },
          "what the server of --config may ask this host to do, each time once, with commas "
          "between: verify, sample, reseed, snapshot, pause, continue, restart (default: nothing)")
      ->type_name("LIST");
  add_from_option(command, options->run.from)
      ->type_name("URL|FILE")
      ->description(
          "where tables come from that no line brings back, without a connection: "
          "http(s)://HOST:PORT/NAME of a server with snapshots, or a file that is one (default: "
          "the server that the stream is read from)");
  add_following_options(command, options->run);
  command.footer(kExamples);
  command.callback([options, &chosen] {
    RunOptions& run = options->run;
    for (const std::string& each : options->until) run.end.until_lsns.push_back(parse_until(each));
    check_fleet_options(*options);
    chosen = [options](daystream::program::Signals& signals) {
      if (follow(*options, signals)) start_again();
      return 0;
    };
  });
}

}  // namespace deltamirror
