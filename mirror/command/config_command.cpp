// deltamirror config: the schema of configurations, a check, a first one.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "command/commands.h"
#include "config/config.h"
#include "program/check_report.h"
#include "program/common_flags.h"
#include "program/config_text.h"
#include "program/figures.h"
#include "program/hint.h"
#include "program/json_schema.h"
#include "seed/check_seed.h"
#include "seed/database_check.h"
#include "seed/requests.h"

namespace deltamirror {

using daystream::ConfigError;
using daystream::program::CheckReport;
using daystream::program::counted;

namespace {

// As the database has it: what each column becomes, and whether SQLite takes what is to be run.
int check_further(const MirrorConfig& config, const std::string& conninfo, bool names_all,
                  const daystream::program::Signals& signals, CheckReport& report) {
  check_seed({.mirror = {}, .conninfo = conninfo, .daystream = {}, .config = config}, names_all,
             signals, report);
  return report.exit_code();
}

// The same of the tables that no problem is about.
void check_others(const ReadConfig& read, const std::string& conninfo, bool names_all,
                  const daystream::program::Signals& signals, CheckReport& report) {
  MirrorConfig config = read.config;
  config.extra_sql.clear();
  const auto keep = [&](std::vector<TableRequest>& tables, const std::string& at) {
    std::vector<TableRequest> kept;
    for (std::size_t i = 0; i < tables.size(); ++i) {
      const std::string own = fmt::format("{}/{}/", at, i);
      const bool is_wrong = std::any_of(
          read.problems.begin(), read.problems.end(),
          [&](const auto& problem) { return (problem.pointer + "/").starts_with(own); });
      if (!is_wrong) kept.push_back(std::move(tables[i]));
    }
    tables = std::move(kept);
  };
  keep(config.tables, "/tables");
  for (std::size_t i = 0; i < config.sources.size(); ++i) {
    SourceConfig& source = config.sources[i];
    keep(source.tables, source.own_tables ? fmt::format("/sources/{}/tables", i) : "/tables");
  }
  if (!config.all_tables().empty()) {
    check_further(config, conninfo, names_all, signals, report);
  }
}

struct CheckOptions {
  std::string file;
  std::optional<std::string> conninfo;
  bool json = false;
  bool all = false;
};

void tell_problems(const ReadConfig& read, const CheckOptions& options, CheckReport& report) {
  std::size_t named = 0;
  for (const ConfigProblem& problem : read.problems) {
    if (options.json) {
      report.check("configuration",
                   [&]() -> std::string { throw ConfigError(problem.text(options.file), {}); });
    } else if (options.all || ++named <= daystream::program::kMostNamed) {
      fmt::print("{}\n", problem.text(options.file));
    }
  }
  if (named > daystream::program::kMostNamed) {
    fmt::print("and {} more (--all names them)\n", named - daystream::program::kMostNamed);
  }
}

int check(const CheckOptions& options, const daystream::program::Signals& signals) {
  const auto& [file, conninfo, json, all] = options;
  CheckReport report(json);
  ReadConfig read = read_config(daystream::program::read_config_text(file));
  if (read.problems.empty()) {
    try {
      check_distinct({}, read.config.all_tables());
    } catch (const ConfigError& e) {
      const std::string at = read.config.sources.empty() ? "/tables" : "/sources";
      const std::string advice = read.config.sources.empty() ? "" : ": " + e.hint();
      read.problems.push_back({at, read.places.value(at), e.what() + advice});
    }
  }
  const bool is_whole = read.problems.empty();
  if (is_whole && conninfo) {
    read.problems = check_with_database(read, *conninfo);
  }
  tell_problems(read, options, report);
  const std::size_t count = read.problems.size();
  if (count != 0) {
    // The rights that are missing to the others are not for the next round.
    if (is_whole && conninfo) check_others(read, *conninfo, all, signals, report);
    throw ConfigError(fmt::format("configuration \"{}\" has {}", file, counted(count, "problem")),
                      "each line above says where, and what may stand there");
  }
  if (conninfo) {
    const int code = check_further(read.config, *conninfo, all, signals, report);
    if (code != 0) return code;
  }
  const std::size_t sources = read.config.sources.size();
  std::string found =
      fmt::format("{}: {}{}{}", file, counted(read.config.all_tables().size(), "table"),
                  sources == 0 ? "" : " of " + counted(sources, "source"),
                  !conninfo     ? ""
                  : sources > 1 ? ", as the databases have them"
                                : ", as the database has them");
  if (!conninfo && !read.config.extra_sql.empty()) {
    const std::string what =
        "extra_sql is not looked at: what columns it finds only PostgreSQL says";
    const std::string hint = "give -d, if only -d \"\" where each source has its \"connection\"";
    if (json) {
      report.warn("SQLite", what, hint);
    } else {
      spdlog::warn("{}", daystream::program::with_hint(what, hint));
    }
  }
  if (json) {
    report.check("configuration", [&] { return found; });
  } else {
    fmt::print("{}\n", found);
  }
  return 0;
}

void add_schema(CLI::App& config, Chosen& chosen) {
  CLI::App& command = *config.add_subcommand("schema", "print the JSON Schema of configurations");
  command.callback([&chosen] {
    chosen = [](daystream::program::Signals&) {
      fmt::print("{}", daystream::program::mirror_config_schema());
      return 0;
    };
  });
}

void add_check(CLI::App& config, Chosen& chosen) {
  auto options = std::make_shared<CheckOptions>();
  CLI::App& command =
      *config.add_subcommand("check", "tell all that is wrong with a configuration");
  command.add_option("FILE", options->file, "configuration")->required();
  add_connection_option(command, options->conninfo)
      ->description(
          "see whether that database has them too and may be read, and what each column becomes");
  daystream::program::add_json_flag(command, options->json, daystream::program::kJsonChecks);
  daystream::program::add_all_flag(command, options->all, "column");
  command.callback([options, &chosen] {
    chosen = [options](daystream::program::Signals& signals) { return check(*options, signals); };
  });
}

void add_init(CLI::App& config, Chosen& chosen) {
  struct Options {
    std::optional<std::string> conninfo;
    InitWishes wishes;
  };
  auto options = std::make_shared<Options>();
  CLI::App& command = *config.add_subcommand(
      "init",
      "print a configuration of a database's tables; those that cannot be mirrored are named on "
      "standard error");
  add_connection_option(command, options->conninfo)
      ->description("connection string or URI")
      ->required();
  command
      .add_option("--table", options->wishes.tables,
                  "[SCHEMA.]TABLE, instead of all; may be repeated")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
  command.add_flag("--partition-root", options->wishes.partition_root,
                   "name partitioned tables instead of their partitions, for a stream of "
                   "deltastream --partition-root");
  command.add_option("--cluster", options->wishes.shards.cluster,
                     "of a PL/Proxy database: this cluster's partitions (default: the only one)");
  command.add_option("--daystreams", options->wishes.shards.daystreams,
                     "folder of the daystreams of a cluster's databases "
                     "(default: /var/lib/daystream)");
  command.callback([options, &chosen] {
    chosen = [options](daystream::program::Signals&) {
      fmt::print("{}", config_for_database(*options->conninfo, options->wishes));
      return 0;
    };
  });
}

}  // namespace

void add_config(CLI::App& app, Chosen& chosen) {
  CLI::App& command = *app.add_subcommand("config", "write and check configurations");
  command.footer(
      "Examples:\n"
      "  deltamirror config init -d service=prod > flights.json\n"
      "      a configuration, to be edited, for \"seed\", \"run\" and \"up\" --config\n"
      "  deltamirror config init -d service=proxy > all.json\n"
      "      the databases behind PL/Proxy, or behind a table with foreign partitions, as sources\n"
      "  deltamirror config check flights.json -d service=prod\n"
      "      whether it is right");
  command.require_subcommand(1);
  command.fallthrough();
  add_schema(command, chosen);
  add_check(command, chosen);
  add_init(command, chosen);
}

}  // namespace deltamirror
