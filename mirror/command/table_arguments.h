// --table and what follows it on a command line.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"

namespace CLI {
class App;
}

namespace deltamirror {

// The words of each option, in order.
struct TableWords {
  std::vector<std::string> tables, queries, names, columns, wheres, modes;
};

// The tables that `seed` and `up` are about: by options or by a configuration.
struct TableChoice {
  TableWords words;
  std::string config_file;
  MirrorConfig config;  // what they come to
};
void add_table_choice(CLI::App& command, TableChoice& choice);
// Once parsed. --query, --as and the others belong to the --table before them: what counts is the
// order on the line. `from`: a snapshot brings its tables instead. Throws CLI::ParseError, and what
// load_config() throws.
void take_table_choice(const CLI::App& command, TableChoice& choice, const std::string& from);

}  // namespace deltamirror
