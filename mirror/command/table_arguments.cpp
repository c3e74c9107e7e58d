#include "command/table_arguments.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "command/commands.h"
#include "model/names.h"

namespace deltamirror {

namespace {

std::vector<std::string> columns_of(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text + ",");
  for (std::string part; std::getline(in, part, ',');) {
    if (part.empty()) usage(fmt::format("invalid --columns \"{}\": a name is empty", text));
    out.push_back(part);
  }
  return out;
}

void add_table_options(CLI::App* app, TableWords& words) {
  app->add_option("--table", words.tables, "[SCHEMA.]TABLE to follow; may be repeated")
      ->allow_extra_args(false);
  app->add_option("--query", words.queries,
                  "after a --table: some of its columns; alone, with --as: a static result")
      ->allow_extra_args(false);
  app->add_option("--as", words.names,
                  "after a --table or --query: its name in the mirror (default: TABLE for schema "
                  "public, else SCHEMA_TABLE)")
      ->allow_extra_args(false);
  app->add_option("--columns", words.columns, "after a --table: the columns to mirror, a,b,c")
      ->allow_extra_args(false);
  app->add_option("--where", words.wheres,
                  "after a --table: the rows to mirror, like \"region = 'eu' AND id < 1000\"")
      ->allow_extra_args(false);
  app->add_option("--mode", words.modes,
                  "after a --table: mirror, history (every change), or latest-per-day")
      ->check(CLI::IsMember({"mirror", "history", "latest-per-day"}))
      ->allow_extra_args(false);
}

// As a configuration of these tables is checked.
void check_requests(const std::vector<TableRequest>& requests) {
  if (requests.empty()) return;
  nlohmann::json config = {{"tables", nlohmann::json::array()}};
  for (const TableRequest& request : requests) {
    if (request.table.empty() && request.as.empty()) {
      usage("a --query without --table before it needs --as after it");
    }
    if (!request.table.empty()) parse_table_name(request.table);  // throws, with a hint of its own
    config["tables"].push_back(to_json(request));
  }
  const ReadConfig read = read_config(config.dump());
  if (!read.problems.empty()) usage(read.problems.front().message);
}

std::vector<TableRequest> table_requests(const CLI::App& app, const TableWords& words) {
  std::vector<TableRequest> out;
  std::size_t table = 0;
  std::size_t query = 0;
  std::size_t name = 0;
  std::size_t column = 0;
  std::size_t where = 0;
  std::size_t mode = 0;
  const auto of_table = [&](const char* option) -> TableRequest& {
    if (out.empty() || out.back().table.empty()) {
      usage(fmt::format("{} must follow a --table", option));
    }
    return out.back();
  };
  for (const CLI::Option* option : app.parse_order()) {
    if (option->check_name("--table")) {
      out.emplace_back().table = words.tables.at(table++);
      if (out.back().table.empty()) usage("--table is empty: is a variable not set?");
    } else if (option->check_name("--query")) {
      if (out.empty() || !out.back().query.empty()) out.emplace_back();
      out.back().query = words.queries.at(query++);
    } else if (option->check_name("--as")) {
      if (out.empty() || !out.back().as.empty()) usage("--as must follow a --table or --query");
      out.back().as = words.names.at(name++);
    } else if (option->check_name("--columns")) {
      of_table("--columns").columns = columns_of(words.columns.at(column++));
    } else if (option->check_name("--where")) {
      of_table("--where").where = words.wheres.at(where++);
    } else if (option->check_name("--mode")) {
      of_table("--mode").mode = mode_named(words.modes.at(mode++));
    }
  }
  check_requests(out);
  return out;
}

}  // namespace

void add_table_choice(CLI::App& command, TableChoice& choice) {
  command.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  add_table_options(&command, choice.words);
  command.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  add_tables_config_option(command, choice.config_file);
}

void take_table_choice(const CLI::App& command, TableChoice& choice, const std::string& from) {
  const std::vector<TableRequest> requests = table_requests(command, choice.words);
  if (!from.empty()) {
    if (!requests.empty() || !choice.config_file.empty() || command.count("-d") > 0) {
      usage("--from brings the tables of the snapshot: it goes with no --table and no -d");
    }
    return;
  }
  if (!requests.empty() && !choice.config_file.empty()) {
    usage("--config names the tables: give either it or --table");
  }
  if (requests.empty() && choice.config_file.empty()) usage("no table specified");
  choice.config.tables = requests;
  if (!choice.config_file.empty()) choice.config = load_config(choice.config_file);
}

}  // namespace deltamirror
