#include "command/arguments.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>

#include "command/table_arguments.h"
#include "program/when.h"
#include "store/checkpoint.h"

namespace program = daystream::program;

namespace deltamirror {

namespace {

constexpr const char* kExamples = R"(
Examples:
  deltamirror seed flights.db -d service=prod --daystream /var/lib/daystream/prod \
              --table flights --table ops.positions --as positions
      copy two tables as they are at one moment
  deltamirror run flights.db --daystream /var/lib/daystream/prod
      follow from there until told to stop
  deltamirror seed small.db -d service=prod --daystream prod \
              --table flights --query "SELECT id, origin, destination FROM flights"
      some columns of a table
  deltamirror seed mine.db -d service=prod --daystream prod \
              --table flights --columns id,status,region --where "region = 'eu' AND id > 1000" \
              --table orders --mode history
      some columns and rows of a table; and every change of another
  deltamirror up flights.db -d service=prod --table flights
      all in one: starts deltastream, seeds, follows; again to go on
  deltamirror up flights.db --from https://stream1:8447/prod
      all in one without PostgreSQL: a copy of that server's newest snapshot, then what came since
  deltamirror seed flights.db --table ops.crews -d service=prod
  deltamirror reseed flights.db --table flights
      one table more; a table copied anew; both while it runs
  deltamirror wait flights.db --lsn 0/17B1480 --timeout 5 && sqlite3 -readonly flights.db ...
      read what one has just written to PostgreSQL

  deltamirror verify flights.db -d service=prod --daystream /var/lib/daystream/prod
      prove that the copy is right, while both go on
  deltamirror config init -d service=prod > flights.json
  deltamirror config check flights.json -d service=prod
      a configuration, to be edited, for "seed", "run" and "up --config"; and whether it is right
  deltamirror snapshot flights.db /srv/snapshots --keep 7d,4w,12m
  deltamirror restore was.db --snapshot /srv/snapshots --daystream prod --to "2026-11-21 10:15"
      copies that other hosts start from; and the mirror as it was at that minute

Exit codes: 0 done, 1 failed (wait: not there in time), 2 wrong usage, 3 a person or a re-seed is
needed (verify: rows differ).
)";

[[noreturn]] void usage(const std::string& message) {
  throw CLI::ParseError(message, CLI::ExitCodes::InvalidError);
}

struct Raw {
  Arguments arguments;
  TableWords words;
  std::vector<std::string> tables;  // of reseed, remove
  std::vector<std::string> until_lsns;
  std::string lsn, time, sample, shapes = "follow", on_commit, conninfo, delay, keep;
  double timeout = 0;
  bool raw = false;
};

void add_config(CLI::App* app, Raw& raw) {
  app->add_option(
      "--config", raw.arguments.config_file,
      "JSON file with \"tables\", or \"sources\" with theirs, and \"extra_sql\"; \"run\" and "
      "\"up\" read it again at SIGHUP");
}

void add_tables(CLI::App* app, Raw& raw) {
  add_table_options(app, raw.words);
  add_config(app, raw);
}

void add_mirror(CLI::App* app, Raw& raw) {
  app->add_option("MIRROR", raw.arguments.mirror, "SQLite file")->required();
}

void add_connection(CLI::App* app, Raw& raw) {
  app->add_option("-d,--dbname", raw.conninfo,
                  "connection string or URI; the environment, service and password files work too");
}

void add_following(CLI::App* app, Raw& raw) {
  app->add_option("--shape-changes", raw.shapes,
                  "follow, or stop, when a table changes its shape (default: follow)")
      ->check(CLI::IsMember({"follow", "stop"}));
  app->add_option("--on-commit", raw.on_commit,
                  "socket:PATH where local programs hear which rows each commit has changed");
  app->add_option("--delay", raw.delay,
                  "stay so far behind PostgreSQL: 1h, 30 min, 90s (default: not at all)");
}

void add_daystream(CLI::App* app, Raw& raw) {
  app->add_option(
      "--daystream", raw.arguments.daystream,
      "directory of the daystream, or its http(s):// URL (default: where the mirror was "
      "last read from)");
}

void add_sources_config(CLI::App* app, Raw& raw) {
  app->add_option("--config", raw.arguments.config_file,
                  "configuration that tells how named sources are reached");
}

void add_source(CLI::App* app, Raw& raw, const char* what) {
  app->add_option("--source", raw.arguments.source, what);
}

void add_from(CLI::App* app, Raw& raw) {
  app->add_option(
      "--from", raw.arguments.from,
      "instead: http(s)://HOST:PORT/NAME of a server with snapshots; a copy of the newest "
      "is the beginning");
}

void add_config_command(CLI::App& app, Raw& raw) {
  ConfigCommand& command = raw.arguments.config_command;
  CLI::App* config = app.add_subcommand("config", "write and check configurations");
  config->require_subcommand(1);
  config->fallthrough();
  config->add_subcommand("schema", "print the JSON Schema of configurations");
  CLI::App* check = config->add_subcommand("check", "tell all that is wrong with a configuration");
  check->add_option("FILE", command.file, "configuration")->required();
  check->add_option("-d,--dbname", raw.conninfo,
                    "see whether the tables, keys and columns are in that database too");
  CLI::App* init = config->add_subcommand(
      "init",
      "print a configuration of a database's tables; those that cannot be mirrored are "
      "named on standard error");
  init->add_option("-d,--dbname", raw.conninfo, "connection string or URI")->required();
  init->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  init->add_option("--table", command.tables, "[SCHEMA.]TABLE, instead of all; may be repeated")
      ->allow_extra_args(false);
}

void describe(CLI::App& app, Raw& raw) {
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.set_version_flag("--version", "deltamirror " DELTAFLOOD_VERSION "\n",
                       "print the version and exit");
  app.footer(kExamples);
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--log-level", raw.arguments.log.level, "error, warn, info, debug (default: info)")
      ->check(CLI::IsMember({"error", "warn", "info", "debug"}));
  app.add_option("--log-format", raw.arguments.log.format, "text, json (default: text)")
      ->check(CLI::IsMember({"text", "json"}));

  CLI::App* seed = app.add_subcommand(
      "seed", "make a mirror from one snapshot of PostgreSQL; add tables to one that is there");
  add_mirror(seed, raw);
  add_connection(seed, raw);
  seed->add_option("--daystream", raw.arguments.daystream,
                   "directory of the daystream; not needed to add tables");
  seed->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  add_tables(seed, raw);
  add_from(seed, raw);
  add_source(seed, raw, "of several sources the one that has the tables to add");

  CLI::App* reseed = app.add_subcommand(
      "reseed", "make tables of a mirror the same as PostgreSQL's, while it runs");
  add_mirror(reseed, raw);
  add_connection(reseed, raw);
  reseed->add_option("--daystream", raw.arguments.daystream,
                     "directory of the daystream (default: where the mirror was last read from)");
  reseed->add_flag("--whole", raw.arguments.whole,
                   "copy them anew; else only rows that differ are written, where they are few");
  CLI::App* remove = app.add_subcommand("remove", "take tables away from a mirror");
  add_mirror(remove, raw);
  for (CLI::App* command : {reseed, remove}) {
    command->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    command
        ->add_option("--table", raw.tables,
                     "its name in the mirror or in PostgreSQL; may be repeated")
        ->required()
        ->allow_extra_args(false);
    command->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    add_source(command, raw, "of named sources the one whose tables they are");
  }
  add_sources_config(reseed, raw);

  CLI::App* run = app.add_subcommand("run", "follow the daystream until told to stop");
  add_mirror(run, raw);
  add_daystream(run, raw);
  add_connection(run, raw);
  run->add_flag("--once", raw.arguments.once, "end where the daystream ends now");
  run->add_option("--until-lsn", raw.until_lsns,
                  "end with the last transaction up to this LSN; of several sources SOURCE=LSN for "
                  "each")
      ->type_name("[SOURCE=]LSN")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
  add_config(run, raw);
  add_following(run, raw);

  CLI::App* up = app.add_subcommand("up", "start deltastream, seed where needed, and follow");
  add_mirror(up, raw);
  add_connection(up, raw);
  up->add_option("-S,--slot", raw.arguments.slot,
                 "replication slot (default: deltamirror_ and the file's name)");
  up->add_flag("--partition-root", raw.arguments.partition_root,
               "follow partitioned tables as one, as deltastream --partition-root does");
  add_following(up, raw);
  up->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  add_tables(up, raw);
  add_from(up, raw);

  CLI::App* status = app.add_subcommand("status", "show what a mirror is and how far it has come");
  add_mirror(status, raw);
  status->add_flag("--json", raw.arguments.json, "for machines");
  status->add_flag("--rows", raw.arguments.rows, "count the rows of each table");
  status->add_flag("--all", raw.arguments.all, "name each table, also where there are many");

  CLI::App* wait = app.add_subcommand("wait", "wait until a mirror has come to an LSN or time");
  add_mirror(wait, raw);
  wait->add_option("--lsn", raw.lsn, "place in PostgreSQL's log");
  wait->add_option(
      "--time", raw.time,
      "all committed before it is here: now, \"2026-11-21 10:15:04.5\" (UTC, or with an "
      "offset), \"2 min ago\", @SECONDS");
  add_source(wait, raw, "the source that it is about (default for --time: all)");
  wait->add_option("--timeout", raw.timeout, "seconds (default: for ever)");

  CLI::App* snapshot = app.add_subcommand(
      "snapshot", "copy a mirror, while it runs, into one file that others start from");
  add_mirror(snapshot, raw);
  snapshot
      ->add_option("OUT", raw.arguments.snapshot.out,
                   "a new file; in a directory: MIRROR-20261121T101504Z.db")
      ->required();
  snapshot->add_flag("--raw", raw.raw, "page by page: made faster, but no smaller than the mirror");
  snapshot->add_option("--keep", raw.keep,
                       "with a directory, remove older ones: 7d,4w,12m keeps the newest of 7 days, "
                       "4 weeks and 12 months; 10 the last ten");

  CLI::App* restore =
      app.add_subcommand("restore", "make a mirror as it was at a time, LSN or position");
  restore->add_option("OUT", raw.arguments.mirror, "new SQLite file")->required();
  restore
      ->add_option("--snapshot", raw.arguments.begin_with,
                   "a snapshot to begin with, or a directory of them: the newest that will do")
      ->required();
  add_daystream(restore, raw);
  add_sources_config(restore, raw);
  add_source(restore, raw, "of several sources the one whose LSN or position --to is");
  restore
      ->add_option("--to", raw.arguments.to,
                   "\"2026-11-21 10:15\" (UTC, or with an offset), \"2h ago\", an LSN, a position "
                   "of the daystream, latest")
      ->required();

  CLI::App* verify = app.add_subcommand("verify", "compare a mirror with PostgreSQL row by row");
  add_mirror(verify, raw);
  add_connection(verify, raw);
  add_daystream(verify, raw);
  add_sources_config(verify, raw);
  add_source(verify, raw, "only that one of named sources (default: all, one after the other)");
  verify->add_flag("--repair", raw.arguments.repair,
                   "mend what differs; the mirror's \"run\" must be stopped");
  verify->add_option("--sample", raw.sample,
                     "compare only about so many rows of each table: 1%, 1000");

  add_config_command(app, raw);
}

void take_config_command(const CLI::App& config, Raw& raw) {
  const CLI::App* verb = config.get_subcommands().front();
  ConfigCommand& command = raw.arguments.config_command;
  command.verb = verb->get_name();
  if (command.verb != "schema" && verb->count("-d") > 0) command.conninfo = raw.conninfo;
}

std::chrono::seconds parse_delay(const std::string& text) {
  const auto span = program::parse_span(text);
  if (!span) usage(fmt::format("invalid --delay \"{}\": write it like 1h, 30 min or 90s", text));
  return std::chrono::seconds(*span);
}

Arguments checked(const CLI::App& app, Raw& raw) {
  Arguments& arguments = raw.arguments;
  const CLI::App* chosen = app.get_subcommands().front();
  const std::string& name = chosen->get_name();
  if (name == "seed") arguments.command = Command::Seed;
  if (name == "reseed") arguments.command = Command::Reseed;
  if (name == "remove") arguments.command = Command::Remove;
  if (name == "run") arguments.command = Command::Run;
  if (name == "up") arguments.command = Command::Up;
  if (name == "status") arguments.command = Command::Status;
  if (name == "wait") arguments.command = Command::Wait;
  if (name == "verify") arguments.command = Command::Verify;
  if (name == "snapshot") arguments.command = Command::Snapshot;
  if (name == "restore") arguments.command = Command::Restore;
  if (name == "config") {
    arguments.command = Command::Config;
    take_config_command(*chosen, raw);
  }
  if (arguments.command == Command::Seed || arguments.command == Command::Up) {
    const std::vector<TableRequest> requests = table_requests(*chosen, raw.words);
    if (!arguments.from.empty()) {
      const bool more =
          !requests.empty() || !arguments.config_file.empty() || chosen->count("-d") > 0;
      if (more)
        usage("--from brings the tables of the snapshot: it goes with no --table and no -d");
      return std::move(arguments);
    }
    if (!requests.empty() && !arguments.config_file.empty()) {
      usage("--config names the tables: give either it or --table");
    }
    if (requests.empty() && arguments.config_file.empty()) usage("no table specified");
    arguments.config.tables = requests;
    if (!arguments.config_file.empty()) arguments.config = load_config(arguments.config_file);
  }
  if (arguments.command == Command::Reseed || arguments.command == Command::Remove) {
    arguments.tables = raw.tables;
  }
  // libpq connects without it too: whether one wants that, only the option tells.
  if (chosen->get_option_no_throw("-d") != nullptr && chosen->count("-d") > 0) {
    arguments.conninfo = raw.conninfo;
  }
  arguments.snapshot.mirror = arguments.mirror;
  if (raw.raw) arguments.snapshot.form = SnapshotForm::Raw;
  if (!raw.keep.empty()) {
    arguments.snapshot.keep = parse_retention(raw.keep);
    if (!arguments.snapshot.keep) usage(fmt::format("invalid --keep \"{}\"", raw.keep));
  }
  if (!raw.delay.empty()) arguments.delay = parse_delay(raw.delay);
  if (raw.shapes == "stop") arguments.shapes = ShapePolicy::Stop;
  if (!raw.on_commit.empty()) {
    if (!raw.on_commit.starts_with("socket:") || raw.on_commit.size() == 7) {
      usage(fmt::format("--on-commit takes socket:PATH, not \"{}\"", raw.on_commit));
    }
    arguments.on_commit = raw.on_commit.substr(7);
  }
  if (!raw.lsn.empty()) {
    arguments.lsn = daystream::Lsn::parse(raw.lsn);
    if (!arguments.lsn) usage(fmt::format("invalid LSN \"{}\"", raw.lsn));
  }
  for (const std::string& each : raw.until_lsns) {
    const std::size_t equals = each.find('=');
    const auto lsn =
        daystream::Lsn::parse(equals == std::string::npos ? each : each.substr(equals + 1));
    if (!lsn) usage(fmt::format("invalid LSN \"{}\"", each));
    const std::string source = equals == std::string::npos ? "" : each.substr(0, equals);
    arguments.until_lsns.push_back({source, *lsn});
  }
  if (!raw.sample.empty()) {
    arguments.sample = parse_sample_size(raw.sample);
    if (!arguments.sample) usage(fmt::format("invalid --sample \"{}\"", raw.sample));
    if (arguments.repair) usage("--repair mends all rows: it does not go with --sample");
  }
  if (name == "wait") {
    if (raw.lsn.empty() && raw.time.empty()) usage("give --lsn or --time");
    if (!raw.time.empty()) {
      const auto time = program::parse_time_us(raw.time, now_us());
      if (!time) usage(fmt::format("invalid --time \"{}\"", raw.time));
      arguments.time = utc_text(*time);
    }
  }
  if (name == "wait" && chosen->count("--timeout") > 0) {
    if (!std::isfinite(raw.timeout) || raw.timeout < 0 || raw.timeout > 1e6) {
      usage(fmt::format("invalid --timeout \"{}\"", raw.timeout));
    }
    arguments.timeout = std::chrono::milliseconds(std::llround(raw.timeout * 1000));
  }
  return std::move(arguments);
}

}  // namespace

Arguments parse_arguments(int argc, const char* const* argv) {
  CLI::App app{"deltamirror keeps tables of PostgreSQL as a SQLite file that follows them.",
               "deltamirror"};
  Raw raw;
  describe(app, raw);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    throw CLI::ParseError(app.help(), CLI::ExitCodes::Success);
  }
  return checked(app, raw);
}

}  // namespace deltamirror
