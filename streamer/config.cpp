#include "config.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <iterator>
#include <string_view>

#include "flags.h"
#include "grammar/table_list.h"
#include "program/config_file.h"
#include "program/usage.h"

namespace deltastream {

namespace {

using daystream::ConfigError;
using Arguments = std::vector<std::string>;

[[noreturn]] void usage(const std::string& message) {
  throw CLI::ParseError(message, CLI::ExitCodes::InvalidError);
}

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
  constexpr std::string_view kActions[] = {"insert", "update", "delete", "truncate"};
  for (std::string_view rest = list;;) {
    const std::size_t comma = rest.find(',');
    std::string_view name = rest.substr(0, comma);
    while (name.starts_with(' ')) name.remove_prefix(1);
    while (name.ends_with(' ')) name.remove_suffix(1);
    if (std::find(std::begin(kActions), std::end(kActions), name) == std::end(kActions)) {
      usage(fmt::format("invalid action \"{}\" of filter actions: insert, update, delete, truncate",
                        name));
    }
    if (comma == std::string_view::npos) return;
    rest.remove_prefix(comma + 1);
  }
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
    usage(fmt::format("option \"{}\" is not a filter: -o takes {}", name, filter_names()));
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

daystream::HousekeepingRules housekeeping_of(const Flags& flags) {
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
  if (flags.compress == "yes") {
    rules.compress = daystream::kDefaultCompression;
  } else if (!flags.compress.empty()) {
    rules.compress =
        static_cast<int>(number("--compress", flags.compress, daystream::kMostCompression));
  }
  if (!flags.keep_days.empty()) rules.keep_days = number("--keep-days", flags.keep_days, 36'500);
  if (!flags.keep_bytes.empty()) rules.keep_bytes = bytes_of("--keep-bytes", flags.keep_bytes);
  return rules;
}

Command command_of(const CLI::App& app, const Flags& flags) {
  if (app.got_subcommand("status")) return Command::Status;
  const int count =
      int{flags.drop_slot} + int{flags.recreate_slot} + int{flags.check} + int{flags.from_stdin};
  // A check is of a start that makes the slot, too.
  if (count > (flags.config.create_slot && !flags.check ? 0 : 1)) {
    usage("--create-slot, --drop-slot, --recreate-slot, --check and --stdin exclude each other");
  }
  if (flags.drop_slot) return Command::DropSlot;
  if (flags.recreate_slot) return Command::RecreateSlot;
  if (flags.check) return Command::Check;
  if (flags.from_stdin) return Command::Stdin;
  if (flags.config.create_slot && flags.config.directory.empty()) return Command::CreateSlot;
  return Command::Follow;
}

void require_source(const Config& config, const std::string& source) {
  const bool pgoutput = source == "pgoutput";
  if (pgoutput != !config.publication.empty()) {
    usage("--source pgoutput and --publication go together");
  }
  if (!pgoutput) return;
  if (config.command == Command::Stdin) usage("--stdin reads lines of our plugin only");
  if (!config.tables.empty() || !config.filters.empty()) {
    usage("--source pgoutput takes no filters: the publication says which tables there are");
  }
  if (config.adopt_slot) usage("--source pgoutput: whose a slot is only our plugin knows");
}

void require(const Config& config) {
  const bool needs_slot = config.command != Command::Stdin && config.command != Command::Status;
  const bool needs_directory =
      config.command != Command::CreateSlot && config.command != Command::DropSlot;
  if (needs_slot && config.slot.empty()) usage("no slot specified");
  if (needs_slot) check_slot_name(config.slot);
  if (needs_directory && config.directory.empty()) usage("no directory specified");
  if (config.if_not_exists && !config.create_slot) usage("--if-not-exists needs --create-slot");
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

Config checked(const CLI::App& app, Flags& flags) {
  const std::vector<std::string> extras = app.remaining(true);
  if (!extras.empty()) {
    usage(fmt::format("unrecognized {} \"{}\"",
                      extras.front().starts_with('-') ? "option" : "argument", extras.front()));
  }
  Config& config = flags.config;
  config.command = command_of(app, flags);
  if (config.command == Command::Status) config.directory = flags.status_directory;
  config.tables = flags.tables;
  for (const std::string& option : flags.options) add_filter(config, option);
  if (!config.tables.empty()) check_filter("tables", config.tables);
  for (const auto& [name, value] : config.filters) check_filter(name, value);
  if (flags.partition_root) config.filters.emplace_back("partition-root", "on");
  std::sort(config.filters.begin(), config.filters.end());  // order must not look like a change
  if (!flags.end_lsn.empty()) {
    config.end_lsn = daystream::Lsn::parse(flags.end_lsn);
    if (!config.end_lsn) usage(fmt::format("invalid --endpos \"{}\": not an LSN", flags.end_lsn));
  }
  config.loop = !flags.no_loop;
  config.failover = !flags.no_failover;
  config.fsync_interval = milliseconds("--fsync-interval", flags.fsync_interval);
  config.status_interval = milliseconds("--status-interval", flags.status_interval);
  config.create_timeout = std::chrono::ceil<std::chrono::seconds>(
      milliseconds("--create-timeout", flags.create_timeout));
  config.housekeeping = housekeeping_of(flags);
  require(config);
  require_source(config, flags.source);
  return config;
}

}  // namespace

daystream::Holding Config::holding() const {
  return {{0, 0}, tables, filters};
}

Config parse_config(const Arguments& arguments) {
  CLI::App app{"deltastream writes the changes of a PostgreSQL database into a daystream.",
               "deltastream"};
  Flags flags;
  describe_flags(app, flags);
  daystream::program::parse(app, daystream::program::with_config_file(app, arguments));
  // A service's file says how it starts; --drop-slot and --recreate-slot on the line are of now.
  const bool asked =
      std::find(arguments.begin(), arguments.end(), "--create-slot") != arguments.end();
  if ((flags.drop_slot || flags.recreate_slot) && !asked) {
    flags.config.create_slot = flags.config.if_not_exists = false;
  }
  Config config = checked(app, flags);
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
                      "Restart deltastream, or set it back in the file.");
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
