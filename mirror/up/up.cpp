#include "up/up.h"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>

#include <filesystem>
#include <memory>
#include <set>

#include "daystream/reader.h"
#include "model/names.h"
#include "program/postgres.h"
#include "seed/seed.h"
#include "snapshot/from_snapshot.h"
#include "store/mirror_file.h"
#include "up/child.h"

namespace deltamirror {

using daystream::Error;
using daystream::UniqueFd;

namespace {

// Slots are named with small letters, digits and underscores, 63 bytes at most.
std::string slot_name(const std::string& mirror) {
  std::string name = "deltamirror_";
  for (const char c : folded(std::filesystem::path(mirror).stem().string())) {
    const bool fits = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    name += fits ? c : '_';
  }
  return name.substr(0, 63);
}

// The filter of deltastream, each table once.
std::string table_list(const MirrorConfig& config) {
  std::set<std::string> names;
  for (const TableRequest& request : config.tables) {
    if (request.table.empty()) continue;
    const QualifiedName name = parse_table_name(request.table);
    using daystream::program::quote_identifier;
    names.insert(name.schema == "public" ? quote_identifier(name.table) : name.sql());
  }
  return fmt::format("{}", fmt::join(names, ","));
}

[[noreturn]] void child_ended(int code) {
  const std::string message = fmt::format("deltastream ended with exit code {}", code);
  const std::string hint = "what it says above is the reason";
  if (code == static_cast<int>(daystream::ExitCode::NeedsPerson)) {
    throw daystream::NeedsPerson(message, hint);
  }
  if (code == static_cast<int>(daystream::ExitCode::Usage)) {
    throw daystream::ConfigError(message, hint);
  }
  if (code == 127) throw Error("could not start deltastream", "install it beside deltamirror");
  throw Error(message, hint);
}

}  // namespace

int up(const UpOptions& options, daystream::program::Signals& signals) {
  if (!options.choice.config.sources.empty()) {
    throw daystream::ConfigError("\"up\" starts deltastream for one database, not for \"sources\"",
                                 "start one for each, then \"deltamirror seed\" and \"run\"");
  }
  const std::string conninfo = options.run.conninfo.value_or("");
  const std::filesystem::path directory = options.run.mirror + ".daystream";
  const std::string tables = table_list(options.choice.config);
  if (tables.empty()) throw daystream::ConfigError("no table to follow specified");
  std::vector<std::string> argv = {
      find_program("deltastream"),
      "-S",
      options.slot.empty() ? slot_name(options.run.mirror) : options.slot,
      "-D",
      directory.string(),
      "--create-slot",
      "--if-not-exists"};
  // A configuration may name other tables at the next SIGHUP: then the stream holds all of them.
  if (options.run.config_file.empty()) argv.insert(argv.end(), {"--tables", tables});
  if (options.partition_root) argv.emplace_back("--partition-root");
  if (!conninfo.empty()) {
    argv.push_back("-d");
    argv.push_back(conninfo);
  }
  Child child(argv);
  const UniqueFd wake = any_of({signals.fd(), child.fd()});
  const auto stop = [&] { return signals.stop_requested() || child.exit_code().has_value(); };

  // The child makes the directory, and a first line, before anything can be seeded.
  for (bool there = false; !there && !stop();) {
    there = std::filesystem::exists(directory / "daystream.json") &&
            daystream::extent(directory).has_value();
    pollfd ready{.fd = wake.get(), .events = POLLIN, .revents = 0};
    if (!there) poll(&ready, 1, 50);
  }
  if (!stop() && !std::filesystem::exists(options.run.mirror)) {
    seed({options.run.mirror, conninfo, directory, options.choice.config}, signals);
  }
  if (!stop()) {
    RunOptions run = options.run;
    run.daystream = directory;
    run_mirror(run, {.stop_requested = stop, .wake_fd = wake.get(), .signals = signals});
  }
  if (!signals.stop_requested() && child.exit_code()) child_ended(*child.exit_code());
  return 0;
}

namespace {

// Without PostgreSQL: a copy of a server's snapshot, then what came since.
int up_from(const UpOptions& options, daystream::program::Signals& signals) {
  RunOptions run = options.run;
  const bool there = std::filesystem::exists(run.mirror);
  if (!there && !fetch_mirror(run.mirror, options.from, signals)) return 0;
  run.daystream = options.from;
  run_mirror(run, control_of(signals));
  return 0;
}

}  // namespace

void add_up(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<UpOptions>();
  CLI::App& command = *app.add_subcommand("up", "start deltastream, seed where needed, and follow");
  add_mirror_option(command, options->run.mirror);
  add_connection_option(command, options->run.conninfo);
  command.add_option("-S,--slot", options->slot,
                     "replication slot (default: deltamirror_ and the file's name)");
  command.add_flag("--partition-root", options->partition_root,
                   "follow partitioned tables as one, as deltastream --partition-root does");
  add_following_options(command, options->run);
  add_table_choice(command, options->choice);
  add_from_option(command, options->from);
  command.footer(
      "Examples:\n"
      "  deltamirror up flights.db -d service=prod --table flights\n"
      "      all in one: starts deltastream, seeds, follows; again to go on\n"
      "  deltamirror up flights.db --from https://stream1:8447/prod\n"
      "      all in one without PostgreSQL: a copy of that server's newest snapshot, then what "
      "came\n"
      "      since");
  command.callback([options, &command, &chosen] {
    take_table_choice(command, options->choice, options->from);
    options->run.config_file = options->choice.config_file;
    if (options->from.empty() && !options->run.conninfo) options->run.conninfo = "";
    chosen = [options](daystream::program::Signals& signals) {
      return options->from.empty() ? up(*options, signals) : up_from(*options, signals);
    };
  });
}

}  // namespace deltamirror
