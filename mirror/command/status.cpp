// deltamirror status: what a mirror is and how far it has come.
#include <fmt/format.h>

#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "command/commands.h"
#include "model/joined.h"
#include "owner/control.h"
#include "program/common_flags.h"
#include "program/figures.h"
#include "program/harmless.h"
#include "src/json_text.h"
#include "status/mirror_status.h"

namespace deltamirror {

namespace {

using nlohmann::ordered_json;

struct StatusOptions {
  std::string mirror;
  bool json = false;
  bool rows = false;  // count them
  bool all = false;   // name each table, however many there are
};

std::string shown(const ordered_json& value) {
  if (value.is_null()) return "-";
  return daystream::program::harmless(value.is_string() ? value.get<std::string>() : value.dump());
}

std::string counted_rows(const ordered_json& rows) {
  return rows.is_null() ? "- rows" : daystream::program::counted(rows.get<std::int64_t>(), "row");
}

std::string seeded_text(const ordered_json& table) {
  const bool all = table["written_rows"] == table["seeded_rows"];
  return fmt::format("{} {}{}", all ? "seeded" : "compared", shown(table["seeded_at"]),
                     all ? "" : fmt::format(" ({} written)", shown(table["written_rows"])));
}

void write_table(std::string& out, const ordered_json& table, bool several) {
  const bool followed = table["kind"] != "static";
  const ordered_json& rows = table.contains("rows") ? table["rows"] : table["seeded_rows"];
  out += fmt::format(
      "table {:<30} {} {}{}, {} {}, last change {}\n", shown(table["name"]),
      followed ? "from" : "static query", several ? shown(table["source"]) + " " : "",
      followed ? shown(table["source_table"]) : "", counted_rows(rows),
      table.contains("rows") ? "now" : seeded_text(table), shown(table["last_change_at"]));
}

void write_tables(std::string& out, const ordered_json& facts, bool all) {
  const ordered_json& tables = facts["tables"];
  const bool named = all || tables.size() <= daystream::program::kMostNamed;
  std::map<std::string, std::size_t> states;
  for (const ordered_json& table : tables) {
    ++states[table["state"].get<std::string>()];
    if (named || is_in_trouble(table)) write_table(out, table, facts.contains("sources"));
  }
  const std::string counts = joined(states, ", ", [](const auto& state) {
    return fmt::format("{} {}", state.second, state.first);
  });
  out += fmt::format("{}{}{}{}\n", daystream::program::counted(tables.size(), "table"),
                     counts.empty() ? "" : ": ", counts, named ? "" : " (--all names them)");
}

// What is not one line of key and value.
const std::set<std::string> kToldApart = {"tables",       "sources", "healthy",   "trouble",
                                          "needs_person", "config",  "left_slots"};

std::string text_of(const ordered_json& facts, bool all) {
  std::string out;
  for (const ordered_json& wrong : facts["trouble"]) {
    out += fmt::format("TROUBLE: {}\n", shown(wrong));
  }
  for (const ordered_json& left : facts["left_slots"]) {
    out += fmt::format(
        "LEFT: replication slot \"{}\" of source \"{}\", which has left: PostgreSQL keeps its log "
        "for it; \"{}\" drops it\n",
        shown(left["slot"]), shown(left["source"]), shown(left["drop_by"]));
  }
  for (const auto& [key, value] : facts.items()) {
    if (kToldApart.contains(key) || (key == "paused" && value.is_null())) continue;
    out += fmt::format("{:<18}{}\n", key, shown(value));
  }
  if (const ordered_json& config = facts["config"]; !config.is_null()) {
    out += "config\n";
    for (const auto& [key, value] : config.items()) {
      out += fmt::format("  {:<18}{}\n", key, shown(value));
    }
  }
  for (const ordered_json& source : facts.value("sources", ordered_json::array())) {
    out += fmt::format("source {}\n", shown(source["source"]));
    for (const auto& [key, value] : source.items()) {
      if (key != "source") out += fmt::format("  {:<18}{}\n", key, shown(value));
    }
  }
  write_tables(out, facts, all);
  return out;
}

}  // namespace

void add_status(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<StatusOptions>();
  CLI::App& command = *app.add_subcommand(
      "status", "show what a mirror is, how far it has come, and what is wrong");
  add_mirror_option(command, options->mirror);
  daystream::program::add_json_flag(command, options->json);
  command.add_flag("--rows", options->rows, "count the rows of each table");
  daystream::program::add_all_flag(command, options->all, "table");
  command.footer(
      "Examples:\n"
      "  deltamirror status flights.db\n"
      "  deltamirror status flights.db --json --rows\n\n"
      "Exit codes: 0 a process owns the mirror, and every source and table is followed; 1 not so;\n"
      "3 not so, and a source waits for a person.");
  command.callback([options, &chosen] {
    chosen = [options](daystream::program::Signals&) {
      const OwnerSays owner = ask_how_it_is(options->mirror);
      const ordered_json facts = mirror_status(options->mirror, {.rows = options->rows,
                                                                 .stream = true,
                                                                 .owner_hangs = owner.hangs,
                                                                 .unstored = owner.unstored,
                                                                 .streams = owner.streams});
      fmt::print("{}", options->json ? daystream::json_page(facts) : text_of(facts, options->all));
      return static_cast<int>(exit_code_of(facts));
    };
  });
}

}  // namespace deltamirror
