#include "command/config_command.h"

#include <fmt/format.h>

#include "config/config.h"
#include "seed/database_check.h"
#include "seed/requests.h"

namespace deltamirror {

using daystream::ConfigError;

namespace {

void check(const ConfigCommand& command) {
  ReadConfig read = read_config(read_text_file(command.file));
  if (read.problems.empty()) {
    try {
      check_distinct({}, read.config.all_tables());
    } catch (const ConfigError& e) {
      const std::string at = read.config.sources.empty() ? "/tables" : "/sources";
      const std::string advice = read.config.sources.empty() ? "" : ": " + e.hint();
      read.problems.push_back({at, read.places.value(at), e.what() + advice});
    }
  }
  if (read.problems.empty() && command.conninfo) {
    read.problems = check_with_database(read, *command.conninfo);
  }
  for (const ConfigProblem& problem : read.problems) {
    fmt::print("{}\n", problem.text(command.file));
  }
  const std::size_t count = read.problems.size();
  if (count != 0) {
    throw ConfigError(fmt::format("configuration \"{}\" has {} problem{}", command.file, count,
                                  count == 1 ? "" : "s"));
  }
  const std::size_t sources = read.config.sources.size();
  fmt::print("{}: {} tables{}{}\n", command.file, read.config.all_tables().size(),
             sources == 0 ? "" : fmt::format(" of {} source{}", sources, sources == 1 ? "" : "s"),
             !command.conninfo ? ""
             : sources > 1     ? ", as the databases have them"
                               : ", as the database has them");
}

}  // namespace

void run_config_command(const ConfigCommand& command) {
  if (command.verb == "schema") fmt::print("{}", config_schema());
  if (command.verb == "check") check(command);
  if (command.verb == "init") {
    fmt::print("{}", config_for_database(command.conninfo.value_or(""), command.tables));
  }
}

}  // namespace deltamirror
