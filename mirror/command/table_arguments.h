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

void add_table_options(CLI::App* app, TableWords& words);
// --query, --as and the others belong to the --table before them: what counts is the order on the
// line. Throws CLI::ParseError.
std::vector<TableRequest> table_requests(const CLI::App& app, const TableWords& words);

}  // namespace deltamirror
