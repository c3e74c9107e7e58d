#include "command/config_command.h"

#include <fmt/format.h>

#include "command/config.h"
#include "config/database_check.h"
#include "seed/requests.h"

namespace deltamirror {

using daystream::ConfigError;

namespace {

void check(const ConfigCommand& command) {
  ReadConfig read = read_config(read_text_file(command.file));
  if (read.problems.empty()) {
    try {
      check_distinct({}, read.config.tables);
    } catch (const ConfigError& e) {
      read.problems.push_back({"/tables", read.places.value("/tables"), e.what()});
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
  fmt::print("{}: {} tables{}\n", command.file, read.config.tables.size(),
             command.conninfo ? ", as the database has them" : "");
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
