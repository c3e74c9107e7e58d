// Options that several subcommands have.
#include <fmt/format.h>

#include "command/commands.h"
#include "config/source_places.h"
#include "program/common_flags.h"
#include "program/when.h"
#include "status/mirror_status.h"
#include "store/mirror_file.h"

namespace deltamirror {

namespace program = daystream::program;

void check_file_name(const std::string& name) {
  if (const std::string problem = problem_of_name(name); !problem.empty()) usage(problem);
}

void add_mirror_option(CLI::App& command, std::string& mirror) {
  command.add_option("MIRROR", mirror, "SQLite file")->required()->each(check_file_name);
}

CLI::Option* add_connection_option(CLI::App& command, std::optional<std::string>& conninfo) {
  return command.add_option_function<std::string>(
      "-d,--dbname", [&conninfo](const std::string& given) { conninfo = given; },
      "connection string or URI; the environment, service and password files work too");
}

CLI::Option* add_daystream_option(CLI::App& command, daystream::Stream& daystream) {
  return command.add_option_function<std::string>(
      "--daystream", [&daystream](const std::string& address) { daystream = open_stream(address); },
      "directory of the daystream, its http(s):// or nats:// URL, or s3:// archive (default: where "
      "the mirror "
      "was last read "
      "from)");
}

CLI::Option* add_tables_config_option(CLI::App& command, std::string& file) {
  return command.add_option(
      "--config", file,
      "JSON file, with comments if need be, with \"tables\", or \"sources\" with "
      "theirs, and \"extra_sql\"; \"run\" and "
      "\"up\" read it again at SIGHUP");
}

void add_sources_config_option(CLI::App& command, std::string& file) {
  command.add_option("--config", file, "configuration that says how sources are reached");
}

void add_source_option(CLI::App& command, std::string& source, const std::string& what) {
  command.add_option("--source", source, what);
}

CLI::Option* add_from_option(CLI::App& command, std::string& url) {
  return command.add_option(
      "--from", url,
      "instead: http(s)://HOST:PORT/NAME of a server with snapshots, or s3://BUCKET/PREFIX; a copy "
      "of the newest is the beginning");
}

namespace {

std::chrono::seconds span_of(const char* option, const std::string& text) {
  const auto span = program::parse_span(text);
  if (!span) usage(fmt::format("invalid {} \"{}\": write it like 1h, 30 min or 90s", option, text));
  return std::chrono::seconds(*span);
}

}  // namespace

void add_following_options(CLI::App& command, RunOptions& options) {
  command
      .add_option_function<std::string>(
          "--shape-changes",
          [&options](const std::string& word) {
            options.shapes = word == "stop" ? ShapePolicy::Stop : ShapePolicy::Follow;
          },
          "follow, or stop, when a table changes its shape (default: follow)")
      ->check(CLI::IsMember({"follow", "stop"}));
  command
      .add_option_function<std::string>(
          "--on-trouble",
          [&options](const std::string& word) { options.on_trouble = on_trouble_named(word); },
          "what becomes of a table that cannot be followed, while the others go on: hide it from "
          "readers, keep its rows as they were, or stop (default: hide)")
      ->check(CLI::IsMember({"hide", "keep", "stop"}));
  command
      .add_option("--max-copies", options.max_copies,
                  "how many mirrors of the database may copy or compare tables at once, of those "
                  "that begin by themselves; 0: any number (default: 4)")
      ->check(CLI::Range(0, 1000));
  command.add_option_function<std::string>(
      "--on-commit",
      [&options](const std::string& where) {
        if (!where.starts_with("socket:") || where.size() == 7) {
          usage(fmt::format("--on-commit takes socket:PATH, not \"{}\"", where));
        }
        options.on_commit = where.substr(7);
      },
      "socket:PATH where local programs hear which rows each commit has changed");
  command.add_option("--metrics-file", options.metrics_file, program::kMetricsFileHelp)
      ->type_name("FILE");
  command
      .add_option("--healthz", options.healthz.address,
                  "HOST:PORT, or unix:PATH, where GET /healthz answers a load balancer: 200 "
                  "while the mirror is fresh, else 503")
      ->type_name("ADDRESS");
  command.add_option_function<std::string>(
      "--max-lag",
      [&options](const std::string& text) { options.healthz.max_lag = span_of("--max-lag", text); },
      "how far behind PostgreSQL is still fresh for --healthz: 2s, 1 min (default: 10s)");
  command.add_option_function<std::string>(
      "--delay", [&options](const std::string& text) { options.delay = span_of("--delay", text); },
      "stay so far behind PostgreSQL: 1h, 30 min, 90s (default: not at all)");
}

program::MetricsFile metrics_of(const RunOptions& options) {
  return {options.metrics_file, [mirror = options.mirror] { return mirror_metrics(mirror); }};
}

program::HealthServer healthz_of(const RunOptions& options) {
  return {options.healthz.address, [mirror = options.mirror, max_lag = options.healthz.max_lag] {
            return fitness(mirror, max_lag);
          }};
}

RunControl control_of(program::Signals& signals) {
  return {.stop = {[&signals] { return signals.stop_requested(); }, signals.fd()},
          .signals = signals};
}

}  // namespace deltamirror
