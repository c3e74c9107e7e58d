#include "config/stream_config.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <iterator>
#include <string_view>

#include "grammar/actions.h"
#include "grammar/table_list.h"
#include "program/check_report.h"
#include "program/common_flags.h"
#include "program/config_file.h"
#include "program/keep_flags.h"
#include "program/usage.h"
#include "src/number.h"

namespace deltastream {

namespace {

using daystream::ConfigError;
using daystream::program::usage;
using Arguments = std::vector<std::string>;

// The plugin options that say *which* changes are streamed. All others say how a line looks;
// deltastream sets those itself, because mirrors rely on them.
constexpr std::array<std::string_view, 6> kFilters = {
    "tables", "exclude-tables", "exclude-columns", "actions", "only-local", "include-messages"};

constexpr const char* kExamples = R"(
Examples:
  deltastream -d "host=db1 dbname=prod user=deltastream" -S prod -D /var/lib/daystream/prod \
              --create-slot --if-not-exists
      create the slot unless it is there, then follow until told to stop
  deltastream -d service=prod -S prod -D prod --tables "orders,billing.*"
      follow some of the tables
  deltastream --check -d service=prod -S prod -D prod --create-slot
      look whether everything is in place for that, and say what is not
  deltastream status prod
      show how far the stream is
  pg_recvlogical -d prod -S raw --start -o include-transaction -o include-schema -f - \
    | deltastream --stdin -D raw
      what is in the pipe at a crash may be lost; what comes again is skipped by its LSN

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a person or a re-seed is needed.
)";

void check_switch(const std::string& name, std::string value) {
  std::transform(value.begin(), value.end(), value.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  constexpr std::string_view kSwitches[] = {"on", "off", "true", "false", "yes", "no", "1", "0"};
  // As PostgreSQL, which takes the beginning of a word: but "o" is the beginning of two.
  const bool known = value != "o" && !value.empty() &&
                     std::any_of(std::begin(kSwitches), std::end(kSwitches),
                                 [&](std::string_view word) { return word.starts_with(value); });
  if (!known) usage(fmt::format("invalid value \"{}\" of filter {}: on or off", value, name));
}

void check_actions(std::string_view list) {
  const grammar::ParsedActions parsed = grammar::parse_actions(list);
  if (parsed.actions != 0) return;
  usage(fmt::format("invalid action \"{}\" of filter actions: insert, update, delete, truncate",
                    parsed.unknown));
}

// What the plugin would refuse, once a slot is there.
void check_filter(const std::string& name, const std::string& value) {
  if (name == "only-local") return check_switch(name, value);
  if (name == "actions") return check_actions(value);
  const auto what = name == "exclude-columns"    ? grammar::ListOf::Columns
                    : name == "include-messages" ? grammar::ListOf::Texts
                                                 : grammar::ListOf::Tables;
  std::string storage(value.size(), '\0');
  std::vector<grammar::Pattern> patterns(grammar::pattern_capacity(value));
  const char* const problem =
      grammar::parse_list(value, what, storage.data(), patterns.data()).problem;
  if (problem != nullptr) {
    usage(fmt::format("invalid list \"{}\" of filter {}: {}", value, name, problem));
  }
}

void check_slot_name(const std::string& name) {
  constexpr std::size_t kLongest = 63;
  const bool fits = name.size() <= kLongest && std::all_of(name.begin(), name.end(), [](char c) {
                      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
                    });
  if (!fits) {
    usage(fmt::format("invalid slot name \"{}\": small letters, digits and _, at most {} of them",
                      name, kLongest));
  }
}

// `text` is FILTER=VALUE, or FILTER alone for a switch, as pg_recvlogical takes it.
void add_filter(Config& config, const std::string& text) {
  const std::size_t equals = text.find('=');
  const std::string name = text.substr(0, equals);
  const std::string value = equals == std::string::npos ? "on" : text.substr(equals + 1);
  if (std::find(kFilters.begin(), kFilters.end(), name) == kFilters.end()) {
    usage(
        fmt::format("option \"{}\" is not a filter: -o takes {}", name, fmt::join(kFilters, ", ")));
  }
  const bool repeated = std::any_of(config.filters.begin(), config.filters.end(),
                                    [&](const auto& filter) { return filter.first == name; });
  if (repeated || (name == "tables" && !config.tables.empty())) {
    usage(fmt::format("filter \"{}\" specified twice", name));
  }
  if (equals == std::string::npos && name != "only-local") {
    usage(fmt::format("filter \"{0}\" needs a value: -o {0}=…", name));
  }
  if (name == "tables") {
    config.tables = value;
  } else {
    config.filters.emplace_back(name, value);
  }
}

// Adds an option of seconds, whose value goes to `to`.
template <typename Duration>
CLI::Option* add_seconds(CLI::App& app, const std::string& name, Duration& to,
                         const std::string& help) {
  return app.add_option_function<double>(
      name,
      [name, &to](double seconds) {
        // A day is more than anyone means; without a limit the conversion overflows.
        if (!std::isfinite(seconds) || seconds < 0 || seconds > 86'400) {
          usage(fmt::format("invalid {} \"{}\": must be between 0 and 86400 seconds",
                            name.substr(name.find("--")), seconds));
        }
        to = std::chrono::ceil<Duration>(std::chrono::milliseconds(std::llround(seconds * 1000)));
      },
      help);
}

std::uint64_t number_of(const char* option, const std::string& text, std::uint64_t most) {
  const auto value = daystream::parse_number<std::uint64_t>(text);
  if (!value || *value < 1 || *value > most) {
    usage(fmt::format("invalid {} \"{}\": must be between 1 and {}", option, text, most));
  }
  return *value;
}

[[noreturn]] void exclude_each_other() {
  usage("--create-slot, --drop-slot, --recreate-slot, --check and --stdin exclude each other");
}

// An option that says what to do.
void choose(Config& config, Command command) {
  if (config.command != Command::Follow && config.command != command) exclude_each_other();
  config.command = command;
}

void add_what(CLI::App& app, Config& config) {
  app.option_defaults()->group("What to follow");
  app.add_option("-d,--dbname", config.conninfo,
                 "connection string or URI; the environment, service and password files work too");
  app.add_option("-S,--slot", config.slot, "logical replication slot");
  app.add_option("-D,--directory", config.directory, "directory of the daystream");
  app.add_option_function<std::string>(
         "--source", [&config](const std::string& name) { config.pgoutput = name == "pgoutput"; },
         "deltaflood: a slot of our plugin; pgoutput: of PostgreSQL's own, on servers that "
         "take no other (default: deltaflood)")
      ->check(CLI::IsMember({"deltaflood", "pgoutput"}));
  app.add_option("--publication", config.publication,
                 "with --source pgoutput: the publication whose tables to stream")
      ->type_name("NAME");
  app.add_option_function<std::string>(
         "--max-spool",
         [&config](const std::string& text) {
           config.most_spool_bytes = daystream::program::bytes_of("--max-spool", text);
         },
         "with --source pgoutput: transactions in progress may take so many bytes here, as 20G; "
         "beyond that PostgreSQL keeps them (default: as the disk has room)")
      ->type_name("SIZE");
  app.add_option("--tables", config.tables,
                 "tables to stream, as 'orders,billing.*,\"Odd\"' (default: all): names as in SQL, "
                 "small letters unless quoted, of schema public unless another is named; * is any "
                 "run of characters, alone every table of every schema");
  app.add_flag_callback(
      "--partition-root", [&config] { config.filters.emplace_back("partition-root", "on"); },
      "tell rows of partitions under the name of the table at the top, so that it can be "
      "mirrored as one");
  app.add_option_function<std::vector<std::string>>(
         "-o,--option",
         [&config](const std::vector<std::string>& filters) {
           for (const std::string& filter : filters) add_filter(config, filter);
         },
         fmt::format("FILTER=VALUE, a filter of the plugin: {}", fmt::join(kFilters, ", ")))
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_flag_callback(
      "--stdin", [&config] { choose(config, Command::Stdin); },
      "read pg_recvlogical's output instead of connecting");
}

void add_how(CLI::App& app, Config& config) {
  app.option_defaults()->group("How");
  app.add_option_function<std::string>(
      "-E,--endpos",
      [&config](const std::string& text) {
        config.end_lsn = daystream::Lsn::parse(text);
        if (!config.end_lsn)
          usage(fmt::format("invalid --endpos \"{}\": write it like 0/17B1480", text));
      },
      "stop once everything up to this LSN is confirmed");
  app.add_flag_callback(
      "-n,--no-loop", [&config] { config.loop = false; },
      "do not reconnect when the connection is lost");
  add_seconds(app, "-F,--fsync-interval", config.fsync_interval,
              "least seconds between fdatasyncs (default: 0, one begins when the last ends, or "
              "50 ms after it began while what comes is more than 100 ms old)");
  add_seconds(app, "-s,--status-interval", config.status_interval,
              "seconds between status packets to the server (default: 10 s)");
  app.add_option(
         "--require-copies", config.require_copies,
         "confirm to PostgreSQL only what N relays have on disk too (daystream pull, from a "
         "daystream serve --record-copies here)")
      ->check(CLI::Range(0U, 1000U))
      ->type_name("N");
  daystream::program::add_config_option(app, config.config_file);
  app.add_option("--metrics-file", config.metrics_file, daystream::program::kMetricsFileHelp)
      ->type_name("FILE");
  app.add_option("--log-level", config.log_level, "error, warn, info, debug (default: info)")
      ->check(CLI::IsMember({"error", "warn", "info", "debug"}));
  app.add_option("--log-format", config.log_format, "text, json (default: text)")
      ->check(CLI::IsMember({"text", "json"}));
  // For "deltamirror up", which runs one of us for each of its sources.
  app.add_option("--log-source", config.log_source)->group("");
  app.add_option("--last-words", config.last_words)->group("");
}

void add_kept(CLI::App& app, Config& config) {
  app.option_defaults()->group("What is kept");
  app.add_option_function<std::string>(
         "--compress",
         [&config](const std::string& level) {
           config.housekeeping.compress =
               level.empty()
                   ? daystream::kDefaultCompression
                   : static_cast<int>(number_of("--compress", level, daystream::kMostCompression));
         },
         fmt::format("compress days that are over with zstd, 1 to {} (default: no; {} "
                     "without a number)",
                     daystream::kMostCompression, daystream::kDefaultCompression))
      ->expected(0, 1)
      ->type_name("[LEVEL]");
  daystream::program::add_keep_flags(app, config.housekeeping.keep_days,
                                     config.housekeeping.keep_bytes);
}

void add_slot(CLI::App& app, Config& config) {
  app.option_defaults()->group("Slot");
  app.add_flag("--create-slot", config.create_slot,
               "create the slot first; without -D do only that");
  app.add_flag("--if-not-exists", config.if_not_exists,
               "with --create-slot: an existing one will do");
  app.add_flag("--adopt-slot", config.adopt_slot,
               "take a slot that another daystream has read from, which cannot go on then");
  app.add_option_function<std::string>(
         "--on-lost-slot",
         [&config](const std::string& what) { config.replace_lost_slot = what == "replace"; },
         "stop: end with exit code 3, for a person; replace: write a gap and go on with a new "
         "slot, as after a fail-over that lost it (default: stop)")
      ->check(CLI::IsMember({"stop", "replace"}));
  app.add_flag_callback(
      "--no-failover", [&config] { config.failover = false; },
      "keep the slot from standbys; by default those of PostgreSQL 17 and later that "
      "synchronize slots have it too, and after a fail-over the stream goes on there");
  add_seconds(app, "--create-timeout", config.create_timeout,
              "seconds to wait for older transactions when creating (default: 60 s)");
  app.add_flag_callback(
      "--drop-slot", [&config] { choose(config, Command::DropSlot); }, "drop the slot and exit");
  app.add_flag_callback(
      "--recreate-slot", [&config] { choose(config, Command::RecreateSlot); },
      "replace a lost slot and exit: writes a gap, behind which every mirror copies its tables");
  app.add_flag_callback(
      "--check", [&config] { choose(config, Command::Check); },
      "look at all that a start with the same options needs, say what is missing, and exit");
  daystream::program::add_json_flag(app, config.json,
                                    std::string("of --check: ") + daystream::program::kJsonChecks);
}

void add_status(CLI::App& app, Config& config) {
  CLI::App* status = app.add_subcommand("status", "show how far a stream is");
  status->add_option("DIR", config.directory, "directory of the daystream")->required();
  status->callback([&config] { config.command = Command::Status; });
  daystream::program::add_json_flag(*status, config.json);
  status->footer(
      "Exit code 0: it is written; 1: it is not; 3: deltastream has stopped, and a person is "
      "needed.\n\n"
      "Examples:\n"
      "  deltastream status /var/lib/daystream/prod\n"
      "  deltastream status /var/lib/daystream/prod --json");
}

// Values go to `config` as they are read.
void describe(CLI::App& app, Config& config) {
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  daystream::program::add_common_flags(
      app, fmt::format("daystream format {}", daystream::kFormatVersion));
  app.footer(kExamples);
  add_what(app, config);
  add_how(app, config);
  add_kept(app, config);
  add_slot(app, config);
  app.option_defaults()->group("Options");
  add_status(app, config);
}

void check_publication(const Config& config) {
  if (config.pgoutput != !config.publication.empty()) {
    usage("--source pgoutput and --publication go together");
  }
  if (!config.pgoutput) {
    if (config.most_spool_bytes != 0) usage("--max-spool goes with --source pgoutput");
    return;
  }
  if (config.command == Command::Stdin) usage("--stdin reads lines of our plugin only");
  if (!config.tables.empty() || !config.filters.empty()) {
    usage("--source pgoutput takes no filters: the publication says which tables there are");
  }
}

// What goes with what.
void check_together(const Config& config) {
  const bool needs_slot = config.command != Command::Stdin && config.command != Command::Status;
  const bool needs_directory =
      config.command != Command::CreateSlot && config.command != Command::DropSlot;
  if (needs_slot && config.slot.empty()) usage("no slot specified");
  if (needs_slot) check_slot_name(config.slot);
  if (needs_directory && config.directory.empty()) usage("no directory specified");
  if (config.if_not_exists && !config.create_slot) usage("--if-not-exists needs --create-slot");
  if (config.json && config.command != Command::Check && config.command != Command::Status) {
    usage("--json goes with --check, and with \"status\"");
  }
  if (config.adopt_slot && config.command != Command::Follow && config.command != Command::Check) {
    usage("--adopt-slot goes with following a slot into a directory");
  }
  if (config.command == Command::Stdin && (!config.conninfo.empty() || !config.slot.empty())) {
    usage("--stdin takes no connection and no slot");
  }
  if (config.command == Command::Stdin && config.require_copies != 0) {
    usage("--stdin confirms nothing: --require-copies has no meaning there");
  }
  if (config.command == Command::Stdin && (!config.tables.empty() || !config.filters.empty())) {
    usage("--stdin takes no filters: give them to pg_recvlogical");
  }
}

}  // namespace

daystream::Holding Config::holding() const {
  return {{0, 0}, tables, filters};
}

Config parse_config(const Arguments& arguments) {
  CLI::App app{"deltastream writes the changes of a PostgreSQL database into a daystream.",
               "deltastream"};
  Config config;
  describe(app, config);
  daystream::program::parse_with_config_file(app, arguments);
  const bool once = config.command == Command::DropSlot || config.command == Command::RecreateSlot;
  if (config.create_slot && config.command == Command::Stdin) exclude_each_other();
  if (config.create_slot && once) {
    // A service's file says how it starts; what is done once with its slot is said on the line.
    if (std::find(arguments.begin(), arguments.end(), "--create-slot") != arguments.end()) {
      exclude_each_other();
    }
    config.create_slot = config.if_not_exists = false;
  }
  // An empty name, as of a variable of a script that is not set, is not to do without.
  if (app.count("--directory") != 0 && config.directory.empty()) usage("no directory specified");
  if (config.command == Command::Follow && config.create_slot && config.directory.empty()) {
    config.command = Command::CreateSlot;
  }
  std::sort(config.filters.begin(), config.filters.end());  // order must not look like a change
  if (!config.tables.empty()) check_filter("tables", config.tables);
  for (const auto& [name, value] : config.filters) {
    if (name != "partition-root") check_filter(name, value);
  }
  check_together(config);
  check_publication(config);
  config.arguments = arguments;
  return config;
}

Config reload_config(const Config& running) {
  if (running.config_file.empty()) {
    throw ConfigError("there is no configuration file: --config was not given",
                      "start it with --config, to change it while it runs");
  }
  Config config = [&] {
    try {
      return parse_config(running.arguments);
    } catch (const CLI::ParseError& e) {
      throw ConfigError(e.what(), "mend the file, and send SIGHUP again");
    }
  }();
  const auto refuse = [](const std::string& what) {
    throw ConfigError(fmt::format("{} cannot change while it runs", what),
                      "restart deltastream, or set it back in the file");
  };
  if (config.command != running.command) refuse("what it is to do (--check, --drop-slot, …)");
  if (config.slot != running.slot) {
    refuse(fmt::format("the slot, from \"{}\" to \"{}\",", running.slot, config.slot));
  }
  if (config.directory != running.directory) {
    refuse(
        fmt::format("the directory, from \"{}\" to \"{}\",", running.directory, config.directory));
  }
  return config;
}

bool same_stream(const Config& one, const Config& other) {
  return one.conninfo == other.conninfo && one.tables == other.tables &&
         one.filters == other.filters && one.publication == other.publication &&
         one.require_copies == other.require_copies;
}

Config parse_config(int argc, const char* const* argv) {
  return parse_config(Arguments(argv + 1, argv + argc));
}

}  // namespace deltastream
