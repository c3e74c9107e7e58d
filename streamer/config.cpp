#include "config.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>

namespace deltastream {

namespace {

using daystream::ConfigError;
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
  deltastream --check -d service=prod -S prod -D prod
      look whether everything is in place, and say what is not
  deltastream status prod
      show how far the stream is
  pg_recvlogical -d prod -S raw --start -o include-transaction -o include-schema -f - \
    | deltastream --stdin -D raw
      what is in the pipe at a crash may be lost; what comes again is skipped by its LSN

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a person or a re-seed is needed.
)";

[[noreturn]] void usage(const std::string& message) {
  throw CLI::ParseError(message, CLI::ExitCodes::InvalidError);
}

std::string allowed_filters() {
  return fmt::format("{}", fmt::join(kFilters, ", "));
}

// `text` is FILTER=VALUE, or FILTER alone for a switch, as pg_recvlogical takes it.
void add_filter(Config& config, const std::string& text) {
  const std::size_t equals = text.find('=');
  const std::string name = text.substr(0, equals);
  const std::string value = equals == std::string::npos ? "on" : text.substr(equals + 1);
  if (std::find(kFilters.begin(), kFilters.end(), name) == kFilters.end()) {
    usage(fmt::format("option \"{}\" is not a filter: -o takes {}", name, allowed_filters()));
  }
  const bool repeated = std::any_of(config.filters.begin(), config.filters.end(),
                                    [&](const auto& filter) { return filter.first == name; });
  if (repeated || (name == "tables" && !config.tables.empty())) {
    usage(fmt::format("filter \"{}\" specified twice", name));
  }
  if (name == "tables") {
    config.tables = value;
  } else {
    config.filters.emplace_back(name, value);
  }
}

std::chrono::milliseconds milliseconds(const std::string& flag, double seconds) {
  // A day is more than anyone means; without a limit the conversion overflows.
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 86'400) {
    usage(fmt::format("invalid {} \"{}\": must be between 0 and 86400 seconds", flag, seconds));
  }
  return std::chrono::milliseconds(std::llround(seconds * 1000));
}

// 500G as a number of bytes; K, M, G and T are powers of 1024.
std::uint64_t bytes_of(const std::string& flag, const std::string& text) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  constexpr std::string_view kUnits = "KMGT";
  const std::size_t unit = stop == end ? 0 : kUnits.find(*stop) + 1;  // npos + 1 is 0
  const bool whole = stop == end || (unit > 0 && stop + 1 == end);
  const int shift = static_cast<int>(unit) * 10;
  if (error != std::errc{} || !whole || value == 0 || value > (UINT64_MAX >> 1 >> shift)) {
    usage(fmt::format("invalid {} \"{}\": a number of bytes, as 500G or 20T", flag, text));
  }
  return value << shift;
}

// What CLI11 fills in, before it is checked.
struct Raw {
  Config config;
  std::string tables;
  std::vector<std::string> options;
  std::string end_lsn;
  double fsync_interval = 0;
  double status_interval = 10;
  double create_timeout = 60;
  std::string compress;  // empty: no; "yes": at our level
  std::string keep_days;
  std::string keep_bytes;
  bool partition_root = false;
  bool no_loop = false;
  bool drop_slot = false;
  bool recreate_slot = false;
  bool check = false;
  bool from_stdin = false;
  std::string status_directory;
};

// Everything but the words is CLI11's.
void describe(CLI::App& app, Raw& raw) {
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.allow_extras();  // so that the words about them are ours
  app.set_version_flag("--version", "deltastream " DELTAFLOOD_VERSION "\n",
                       "print the version and exit");
  app.footer(kExamples);
  Config& config = raw.config;

  app.add_option("-d,--dbname", config.conninfo,
                 "connection string or URI; the environment, service and password files work too")
      ->group("What to follow");
  app.add_option("-S,--slot", config.slot, "logical replication slot")->group("What to follow");
  app.add_option("-D,--directory", config.directory, "directory of the daystream")
      ->group("What to follow");
  app.add_option("--tables", raw.tables, "tables to stream, as \"orders,billing.*\" (default: all)")
      ->group("What to follow");
  app.add_flag("--partition-root", raw.partition_root,
               "tell rows of partitions under the name of the table at the top, so that it can be "
               "mirrored as one")
      ->group("What to follow");
  app.add_option("-o,--option", raw.options,
                 fmt::format("FILTER=VALUE, a filter of the plugin: {}", allowed_filters()))
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->group("What to follow");
  app.add_flag("--stdin", raw.from_stdin, "read pg_recvlogical's output instead of connecting")
      ->group("What to follow");

  app.add_option("-E,--endpos", raw.end_lsn, "stop once everything up to this LSN is confirmed")
      ->group("How");
  app.add_flag("-n,--no-loop", raw.no_loop, "do not reconnect when the connection is lost")
      ->group("How");
  app.add_option("-F,--fsync-interval", raw.fsync_interval,
                 "least seconds between fdatasyncs (default: 0, one begins when the last ends, or "
                 "50 ms after it began while what comes is more than 100 ms old)")
      ->group("How");
  app.add_option("-s,--status-interval", raw.status_interval,
                 "seconds between status packets to the server (default: 10 s)")
      ->group("How");
  app.add_option(
         "--require-copies", config.require_copies,
         "confirm to PostgreSQL only what N relays have on disk too (daystream pull, from a "
         "daystream serve --record-copies here)")
      ->check(CLI::Range(0U, 1000U))
      ->type_name("N")
      ->group("How");
  app.add_option("--config", config.config_file, "JSON file with these names as keys")
      ->group("How");
  app.add_option("--log-level", config.log_level, "error, warn, info, debug (default: info)")
      ->check(CLI::IsMember({"error", "warn", "info", "debug"}))
      ->group("How");
  app.add_option("--log-format", config.log_format, "text, json (default: text)")
      ->check(CLI::IsMember({"text", "json"}))
      ->group("How");

  app.add_option_function<std::string>(
         "--compress",
         [&raw](const std::string& level) { raw.compress = level.empty() ? "yes" : level; },
         fmt::format("compress days that are over with zstd, 1 to {} (default: no; {} "
                     "without a number)",
                     daystream::kMostCompression, daystream::kDefaultCompression))
      ->expected(0, 1)
      ->type_name("[LEVEL]")
      ->group("What is kept");
  app.add_option("--keep-days", raw.keep_days,
                 "delete days older than N before the current one (default: keep all)")
      ->type_name("N")
      ->group("What is kept");
  app.add_option(
         "--keep-bytes", raw.keep_bytes,
         "delete the oldest days while all day files take more, as 500G (default: keep all)")
      ->type_name("SIZE")
      ->group("What is kept");

  app.add_flag("--create-slot", config.create_slot,
               "create the slot first; without -D do only that")
      ->group("Slot");
  app.add_flag("--if-not-exists", config.if_not_exists,
               "with --create-slot: an existing one will do")
      ->group("Slot");
  app.add_option("--create-timeout", raw.create_timeout,
                 "seconds to wait for older transactions when creating (default: 60 s)")
      ->group("Slot");
  app.add_flag("--drop-slot", raw.drop_slot, "drop the slot and exit")->group("Slot");
  app.add_flag("--recreate-slot", raw.recreate_slot,
               "replace a lost slot and exit; writes a gap at which every mirror re-seeds")
      ->group("Slot");
  app.add_flag("--check", raw.check, "run the start-up checks, print each, and exit")
      ->group("Slot");

  CLI::App* status = app.add_subcommand("status", "show how far a stream is");
  status->add_option("DIR", raw.status_directory, "directory of the daystream")->required();
  status->add_flag("--json", config.json, "for machines");
}

daystream::HousekeepingRules housekeeping_of(const Raw& raw) {
  daystream::HousekeepingRules rules;
  const auto number = [](const char* flag, const std::string& text, std::uint64_t most) {
    std::uint64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc{} || stop != end || value < 1 || value > most) {
      usage(fmt::format("invalid {} \"{}\": must be between 1 and {}", flag, text, most));
    }
    return value;
  };
  if (raw.compress == "yes") {
    rules.compress = daystream::kDefaultCompression;
  } else if (!raw.compress.empty()) {
    rules.compress =
        static_cast<int>(number("--compress", raw.compress, daystream::kMostCompression));
  }
  if (!raw.keep_days.empty()) rules.keep_days = number("--keep-days", raw.keep_days, 36'500);
  if (!raw.keep_bytes.empty()) rules.keep_bytes = bytes_of("--keep-bytes", raw.keep_bytes);
  return rules;
}

Command command_of(const CLI::App& app, const Raw& raw) {
  if (app.got_subcommand("status")) return Command::Status;
  const int count = int{raw.drop_slot} + int{raw.recreate_slot} + int{raw.check} +
                    int{raw.from_stdin} + int{raw.config.create_slot};
  if (count > 1) {
    usage("--create-slot, --drop-slot, --recreate-slot, --check and --stdin exclude each other");
  }
  if (raw.drop_slot) return Command::DropSlot;
  if (raw.recreate_slot) return Command::RecreateSlot;
  if (raw.check) return Command::Check;
  if (raw.from_stdin) return Command::Stdin;
  if (raw.config.create_slot && raw.config.directory.empty()) return Command::CreateSlot;
  return Command::Follow;
}

void require(const Config& config) {
  const bool needs_slot = config.command != Command::Stdin && config.command != Command::Status;
  const bool needs_directory =
      config.command != Command::CreateSlot && config.command != Command::DropSlot;
  if (needs_slot && config.slot.empty()) usage("no slot specified");
  if (needs_directory && config.directory.empty()) usage("no directory specified");
  if (config.if_not_exists && !config.create_slot) usage("--if-not-exists needs --create-slot");
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

Config checked(const CLI::App& app, Raw& raw) {
  const std::vector<std::string> extras = app.remaining(true);
  if (!extras.empty()) {
    usage(fmt::format("unrecognized {} \"{}\"",
                      extras.front().starts_with('-') ? "option" : "argument", extras.front()));
  }
  Config& config = raw.config;
  config.command = command_of(app, raw);
  if (config.command == Command::Status) config.directory = raw.status_directory;
  config.tables = raw.tables;
  for (const std::string& option : raw.options) add_filter(config, option);
  if (raw.partition_root) config.filters.emplace_back("partition-root", "on");
  std::sort(config.filters.begin(), config.filters.end());  // order must not look like a change
  if (!raw.end_lsn.empty()) {
    config.end_lsn = daystream::Lsn::parse(raw.end_lsn);
    if (!config.end_lsn) usage(fmt::format("invalid --endpos \"{}\": not an LSN", raw.end_lsn));
  }
  config.loop = !raw.no_loop;
  config.fsync_interval = milliseconds("--fsync-interval", raw.fsync_interval);
  config.status_interval = milliseconds("--status-interval", raw.status_interval);
  config.create_timeout =
      std::chrono::ceil<std::chrono::seconds>(milliseconds("--create-timeout", raw.create_timeout));
  config.housekeeping = housekeeping_of(raw);
  require(config);
  return config;
}

std::string json_text(const std::string& path, const nlohmann::json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number()) return value.dump();
  throw ConfigError(fmt::format("cannot use {}: must be text or a number", path));
}

// One key of the file as the flags it stands for.
void append_flags(Arguments& flags, const std::string& path, const std::string& key,
                  const nlohmann::json& value) {
  if (key == "option") {
    if (!value.is_object()) {
      throw ConfigError(fmt::format("cannot use {}: must be an object", path));
    }
    for (const auto& [name, text] : value.items()) {
      flags.push_back(
          fmt::format("--option={}={}", name, json_text(fmt::format("{}.{}", path, name), text)));
    }
  } else if (value.is_boolean()) {
    if (value.get<bool>()) flags.push_back("--" + key);
  } else {
    flags.push_back(fmt::format("--{}={}", key, json_text(path, value)));
  }
}

// The file's keys as flags, which the real ones then follow and override.
Arguments flags_of_file(const CLI::App& app, const std::string& file) {
  std::ifstream in(file);
  if (!in) throw ConfigError(fmt::format("could not open configuration file \"{}\"", file));
  nlohmann::json root;
  try {
    root = nlohmann::json::parse(in);
  } catch (const nlohmann::json::exception& e) {
    throw ConfigError(fmt::format("cannot read configuration file \"{}\": {}", file, e.what()));
  }
  if (!root.is_object()) {
    throw ConfigError(
        fmt::format("cannot read configuration file \"{}\": must be an object", file));
  }
  Arguments flags;
  for (const auto& [key, value] : root.items()) {
    const std::string path = fmt::format("key \"{}\" of configuration file \"{}\"", key, file);
    if (key == "config" || key == "help" || key == "version" ||
        app.get_option_no_throw("--" + key) == nullptr) {
      throw ConfigError(fmt::format("unrecognized {}", path));
    }
    append_flags(flags, path, key, value);
  }
  return flags;
}

// --config must be known before the rest is parsed.
std::string config_file_of(const Arguments& arguments) {
  std::string file;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    constexpr std::string_view kFlag = "--config";
    if (arguments[i] == kFlag && i + 1 < arguments.size()) file = arguments[i + 1];
    if (arguments[i].starts_with("--config=")) file = arguments[i].substr(kFlag.size() + 1);
  }
  return file;
}

}  // namespace

daystream::Holding Config::holding() const {
  return {{0, 0}, tables, filters};
}

Config parse_config(const Arguments& arguments) {
  CLI::App app{"deltastream writes the changes of a PostgreSQL database into a daystream.",
               "deltastream"};
  Raw raw;
  describe(app, raw);
  Arguments all;
  const std::string file = config_file_of(arguments);
  if (!file.empty()) all = flags_of_file(app, file);
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::reverse(all.begin(), all.end());  // as CLI11 takes a vector
  try {
    app.parse(all);
  } catch (const CLI::CallForHelp&) {
    throw CLI::ParseError(app.help(), CLI::ExitCodes::Success);
  }
  Config config = checked(app, raw);
  config.arguments = arguments;
  return config;
}

Config reload_config(const Config& running) {
  if (running.config_file.empty()) {
    throw ConfigError("there is no configuration file: --config was not given");
  }
  Config config = [&] {
    try {
      return parse_config(running.arguments);
    } catch (const CLI::ParseError& e) {
      throw ConfigError(e.what());
    }
  }();
  if (config.command != running.command || config.directory != running.directory ||
      config.slot != running.slot) {
    throw ConfigError("slot, directory and command cannot change while it runs",
                      "Restart deltastream.");
  }
  return config;
}

bool same_stream(const Config& one, const Config& other) {
  return one.conninfo == other.conninfo && one.tables == other.tables &&
         one.filters == other.filters && one.require_copies == other.require_copies;
}

Config parse_config(int argc, const char* const* argv) {
  return parse_config(Arguments(argv + 1, argv + argc));
}

}  // namespace deltastream
