#include "up/up.h"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>

#include <filesystem>
#include <set>

#include "daystream/reader.h"
#include "model/names.h"
#include "owner/engine.h"
#include "program/postgres.h"
#include "seed/seed.h"
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
  if (!options.config.sources.empty()) {
    throw daystream::ConfigError("\"up\" starts deltastream for one database, not for \"sources\"",
                                 "start one for each, then \"deltamirror seed\" and \"run\"");
  }
  const std::filesystem::path directory = options.mirror + ".daystream";
  const std::string tables = table_list(options.config);
  if (tables.empty()) throw daystream::ConfigError("no table to follow specified");
  std::vector<std::string> argv = {find_program("deltastream"),
                                   "-S",
                                   options.slot.empty() ? slot_name(options.mirror) : options.slot,
                                   "-D",
                                   directory.string(),
                                   "--create-slot",
                                   "--if-not-exists"};
  // A configuration may name other tables at the next SIGHUP: then the stream holds all of them.
  if (options.config_file.empty()) argv.insert(argv.end(), {"--tables", tables});
  if (options.partition_root) argv.emplace_back("--partition-root");
  if (!options.conninfo.empty()) {
    argv.push_back("-d");
    argv.push_back(options.conninfo);
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
  if (!stop() && !std::filesystem::exists(options.mirror)) {
    seed({options.mirror, options.conninfo, directory, options.config}, signals);
  }
  if (!stop()) {
    run_mirror({.mirror = options.mirror,
                .daystream = directory,
                .delay = options.delay,
                .conninfo = options.conninfo,
                .config_file = options.config_file,
                .shapes = options.shapes,
                .on_commit = options.on_commit,
                .seed_now = {}},
               {.stop_requested = stop, .wake_fd = wake.get(), .signals = signals});
  }
  if (!signals.stop_requested() && child.exit_code()) child_ended(*child.exit_code());
  return 0;
}

}  // namespace deltamirror
