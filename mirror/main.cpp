// deltamirror: from PostgreSQL and a daystream into a SQLite file.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>

#include "command/arguments.h"
#include "command/status.h"
#include "command/table_commands.h"
#include "command/wait.h"
#include "config/source_places.h"
#include "owner/engine.h"
#include "program/program.h"
#include "remote/enable.h"
#include "seed/seed.h"
#include "snapshot/from_snapshot.h"
#include "snapshot/restore.h"
#include "snapshot/take.h"
#include "store/mirror_file.h"
#include "store/mirror_lock.h"
#include "up/up.h"
#include "verify/verify.h"

namespace program = daystream::program;

namespace deltamirror {

namespace {

TableCommand table_command(const Arguments& arguments) {
  return {arguments.mirror, arguments.conninfo, arguments.daystream,
          arguments.whole,  arguments.source,   arguments.config_file};
}

std::string required_daystream(const Arguments& arguments) {
  if (!arguments.daystream.empty()) return arguments.daystream;
  throw daystream::ConfigError("no daystream specified", "a new mirror needs --daystream DIR");
}

RunOptions run_options(const Arguments& arguments, const std::string& daystream) {
  return {.mirror = arguments.mirror,
          .daystream = daystream,
          .once = arguments.once,
          .until_lsns = arguments.until_lsns,
          .delay = arguments.delay,
          .conninfo = arguments.conninfo,
          .config_file = arguments.config_file,
          .shapes = arguments.shapes,
          .on_commit = arguments.on_commit,
          .seed_now = {}};
}

AskedPlaces asked_places(const Arguments& arguments) {
  return {arguments.config_file, arguments.source, arguments.daystream, arguments.conninfo};
}

RunControl control_of(program::Signals& signals) {
  return {.stop_requested = [&signals] { return signals.stop_requested(); },
          .wake_fd = signals.fd(),
          .signals = signals};
}

int run(int argc, char** argv) {
  const Arguments arguments = parse_arguments(argc, argv);
  const std::string conninfo = arguments.conninfo.value_or("");
  daystream::remote::enable();
  program::start_log("deltamirror", arguments.log);
  program::Signals signals;  // before any thread
  switch (arguments.command) {
    case Command::Seed:
      if (!arguments.from.empty()) {
        fetch_mirror(arguments.mirror, arguments.from, signals);
      } else if (std::filesystem::exists(arguments.mirror) && arguments.config.sources.empty()) {
        add_tables(table_command(arguments), arguments.config, signals);
      } else {
        const bool named = !arguments.config.sources.empty();
        seed({arguments.mirror, conninfo, named ? "" : required_daystream(arguments),
              arguments.config},
             signals);
      }
      return 0;
    case Command::Reseed:
      reseed_tables(table_command(arguments), arguments.tables, signals);
      return 0;
    case Command::Remove:
      remove_tables(table_command(arguments), arguments.tables);
      return 0;
    case Command::Run:
      run_mirror(run_options(arguments, arguments.daystream), control_of(signals));
      return 0;
    case Command::Up:
      if (!arguments.from.empty()) {
        const bool there = std::filesystem::exists(arguments.mirror);
        if (!there && !fetch_mirror(arguments.mirror, arguments.from, signals)) return 0;
        run_mirror(run_options(arguments, arguments.from), control_of(signals));
        return 0;
      }
      return up({.mirror = arguments.mirror,
                 .conninfo = conninfo,
                 .slot = arguments.slot,
                 .partition_root = arguments.partition_root,
                 .config = arguments.config,
                 .config_file = arguments.config_file,
                 .shapes = arguments.shapes,
                 .on_commit = arguments.on_commit,
                 .delay = arguments.delay},
                signals);
    case Command::Status: {
      const Status status =
          status_of({arguments.mirror, arguments.json, arguments.rows, arguments.all});
      fmt::print("{}", status.text);
      return status.healthy ? 0 : 1;
    }
    case Command::Verify: {
      // A mirror that runs is mended by its owner.
      const bool owned = arguments.repair && MirrorLock::holder(arguments.mirror) != 0;
      std::uint64_t differences = 0;
      const std::vector<SourcePlace> places =
          source_places(open_for_reading(arguments.mirror), asked_places(arguments));
      for (const SourcePlace& place : places) {
        const std::string& source = place.at.source;
        if (places.size() > 1) fmt::print("source {}\n", source);
        const VerifyOptions options{arguments.mirror, place.conninfo.value_or(""),
                                    place.daystream,  arguments.repair && !owned,
                                    source,           arguments.sample.value_or(SampleSize{})};
        const VerifyResult result =
            arguments.sample ? verify_sample(options, signals) : verify(options, signals);
        differences += result.differences;
        if (!owned || result.tables.empty()) continue;
        TableCommand mend = table_command(arguments);
        mend.source = source;
        mend.conninfo = place.conninfo;
        reseed_tables(mend, result.tables, signals);
      }
      if (differences == 0 || arguments.repair) return 0;
      throw daystream::NeedsPerson(fmt::format("{} rows of mirror \"{}\" differ from PostgreSQL",
                                               differences, arguments.mirror),
                                   "mend it with --repair, or seed it again");
    }
    case Command::Snapshot:
      fmt::print("{}\n", take_snapshot(arguments.snapshot, signals));
      return 0;
    case Command::Restore:
      restore({arguments.mirror, arguments.begin_with, arguments.daystream, arguments.to,
               arguments.source, arguments.config_file},
              signals);
      return 0;
    case Command::Config:
      run_config_command(arguments.config_command);
      return 0;
    case Command::Wait: {
      const WaitGoal goal{arguments.lsn, arguments.time, arguments.source};
      if (wait_for(arguments.mirror, goal, arguments.timeout, signals)) return 0;
      throw daystream::Error(
          fmt::format("mirror \"{}\" has not reached {} in time", arguments.mirror, goal.text()));
    }
  }
  return 0;
}

}  // namespace

}  // namespace deltamirror

int main(int argc, char** argv) {
  return program::run("deltamirror", [&] { return deltamirror::run(argc, argv); });
}
