#include "seed/check_seed.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/source_places.h"
#include "history/history_tables.h"
#include "program/figures.h"
#include "seed/rehearsal.h"
#include "seed/requests.h"
#include "src/json_text.h"
#include "store/number_columns.h"

namespace deltamirror {

using daystream::Manifest;
using daystream::program::CheckReport;
using daystream::program::counted;

namespace {

// What a deltastream without filters will write.
Manifest planned_manifest(const std::string& name) {
  Manifest planned;
  planned.name = name;
  planned.holdings.emplace_back();
  return planned;
}

// For who may have mistyped the name: "prod", "test". Empty: there are none.
std::string daystreams_beside(const std::filesystem::path& directory) {
  std::string names;
  std::error_code ignored;
  const auto folder = std::filesystem::absolute(directory).lexically_normal().parent_path();
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    if (!std::filesystem::exists(entry.path() / "daystream.json", ignored)) continue;
    names += fmt::format("{}\"{}\"", names.empty() ? "" : ", ", entry.path().filename().string());
  }
  return names;
}

// A seed from there looks like this one; nullopt: there is nothing yet.
std::optional<Manifest> look_at_daystream(const std::string& place, CheckReport& report) {
  if (place.empty()) return planned_manifest("daystream");  // nobody asks about it
  const daystream::Stream stream = open_stream(place);
  const auto directory = stream.directory();
  if (directory && !std::filesystem::exists(*directory / "daystream.json")) {
    const std::string beside = daystreams_beside(*directory);
    report.warn("daystream",
                fmt::format("there is none in \"{}\" yet{}", place,
                            beside.empty() ? "" : "; beside it are " + beside),
                "look at the name, or start deltastream first: a seed joins what it writes");
    return planned_manifest(directory->filename());
  }
  std::optional<Manifest> found;
  report.check("daystream", [&] {
    found = stream.manifest();
    return fmt::format("\"{}\" is of database \"{}\", slot \"{}\"", place, found->database,
                       found->slot);
  });
  return found;
}

// What a column is in PostgreSQL, and in the mirror.
struct Becomes {
  std::string name;
  std::string was;
  std::string is;
};

std::vector<Becomes> columns_of(const MirroredTable& table) {
  std::vector<Becomes> columns;
  for (const MirrorColumn& column : table.columns) {
    const SourceColumn* const source = table.shape.column(column.attnum);
    columns.push_back(
        {column.name, source == nullptr ? "-" : source->type, std::string(column.type.declared())});
  }
  for (const NumberColumn& column : number_columns(table)) {
    columns.push_back(
        {column.name, fmt::format("\"{}\" as a number", column.of), "REAL, generated"});
  }
  return columns;
}

void print_line(const std::string& first, const std::string& second, const std::string& third) {
  std::printf("        %-10s %-24s %-28s %s\n", "", first.c_str(), second.c_str(), third.c_str());
}

void print_columns(const MirroredTable& table, bool json) {
  for (const Becomes& column : columns_of(table)) {
    if (!json) {
      print_line(column.name, column.was, column.is);
      continue;
    }
    const nlohmann::ordered_json line = {{"check", "column"},           {"result", "ok"},
                                         {"table", shown_name(table)},  {"column", column.name},
                                         {"postgres_type", column.was}, {"sqlite_type", column.is}};
    std::fputs(daystream::json_line(line).c_str(), stdout);
  }
}

void tell_problem(const TableProblem& problem, CheckReport& report) {
  report.check("table", [&]() -> std::string {
    const std::string what =
        fmt::format("\"{}\" cannot be copied: {}", problem.name, problem.absence.reason);
    if (problem.exit_code == daystream::ExitCode::Usage) {
      throw daystream::ConfigError(what, problem.absence.hint);
    }
    throw daystream::NeedsPerson(what, problem.absence.hint);
  });
}

// numeric(12,2) and numeric(9) are numeric, as long as they become the same.
std::string without_modifier(const std::string& type) {
  const auto begin = type.find('(');
  const auto end = type.find(')', begin);
  return end == std::string::npos ? type : type.substr(0, begin) + type.substr(end + 1);
}

// What the types of their columns become, with how many have each.
void sum_up(const std::vector<SeedTable>& tables, CheckReport& report) {
  std::map<std::pair<std::string, std::string>, std::size_t> counts;
  std::size_t all = 0;
  for (const SeedTable& table : tables) {
    const std::size_t own = table.mirrored.columns.size();
    const std::vector<Becomes> columns = columns_of(table.mirrored);
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const Becomes& column = columns[i];
      ++counts[{i < own ? without_modifier(column.was) : "a numeric as a number", column.is}];
    }
    all += columns.size();
  }
  report.check("tables", [&] {
    return fmt::format("{}, {}; their types become (--all names each column)",
                       counted(tables.size(), "table"), counted(all, "column"));
  });
  for (const auto& [types, count] : counts) {
    print_line(types.first, types.second, counted(count, "column"));
  }
}

void tell_tables(SeedSession& session, bool names_all, CheckReport& report) {
  std::size_t named = 0;
  for (const TableProblem& problem : session.problems()) {
    if (!names_all && ++named > daystream::program::kMostNamed) break;
    tell_problem(problem, report);
  }
  const std::size_t problems = session.problems().size();
  if (named > daystream::program::kMostNamed) {
    report.warn("tables", fmt::format("{} more cannot be copied", problems - named + 1),
                "--all names them");
  }
  if (!names_all) return sum_up(session.tables(), report);
  for (const SeedTable& table : session.tables()) {
    report.check("table", [&] {
      return fmt::format("\"{}\", {}", shown_name(table.mirrored),
                         counted(table.mirrored.columns.size(), "column"));
    });
    print_columns(table.mirrored, report.is_json());
  }
}

// nullptr: the source cannot be reached, or is another one.
std::unique_ptr<SeedSession> look_at_source(const SourceConfig& source, const std::string& conninfo,
                                            bool names_all,
                                            const daystream::program::Signals& signals,
                                            CheckReport& report) {
  const auto manifest = look_at_daystream(source.daystream, report);
  if (!manifest) return nullptr;
  std::unique_ptr<SeedSession> session;
  const bool connected = report.check("connection", [&] {
    session =
        std::make_unique<SeedSession>(conninfo, *manifest, source.tables, signals, Unfit::PassOver);
    session->check();
    return fmt::format("database \"{}\" of cluster {}", session->server().database,
                       session->server().system_identifier);
  });
  if (!connected) return nullptr;
  report.check_clock("the server", session->clock_us());
  tell_tables(*session, names_all, report);
  return session;
}

}  // namespace

void check_seed(const SeedOptions& options, bool names_all,
                const daystream::program::Signals& signals, CheckReport& report) {
  if (!report.check("names", [&] {
        check_distinct({}, options.config.all_tables());
        return counted(options.config.all_tables().size(), "table") +
               ", each with a name of its own";
      })) {
    return;
  }
  names_all = names_all || report.is_json() ||
              options.config.all_tables().size() <= daystream::program::kMostNamed;
  std::vector<SeedPart> parts;
  for (const SourceConfig& source : sources_of(options)) {
    auto session = look_at_source(source, source.connection.value_or(options.conninfo), names_all,
                                  signals, report);
    if (!session) return;
    // Where it would be read is of no matter in memory.
    parts.push_back({open_stream(source.daystream.empty() ? "daystream" : source.daystream),
                     std::move(session)});
  }
  if (report.exit_code() != 0) return;  // without a table, SQL that names it would fail as well
  report.check("SQLite", [&] {
    rehearse(parts, options.config);
    return fmt::format("takes the tables, their indexes{}",
                       options.config.extra_sql.empty()
                           ? ""
                           : " and " + counted(options.config.extra_sql.size(), "extra statement"));
  });
}

}  // namespace deltamirror
