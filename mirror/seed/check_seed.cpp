#include "seed/check_seed.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
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

// A line for each column: as it is in PostgreSQL, and as it is in the mirror.
void print_columns(const MirroredTable& table, bool json) {
  const auto line = [&](const std::string& name, const std::string& was, std::string_view is) {
    if (json) {
      const nlohmann::ordered_json column = {{"check", "column"},          {"result", "ok"},
                                             {"table", shown_name(table)}, {"column", name},
                                             {"postgres_type", was},       {"sqlite_type", is}};
      std::fputs(daystream::json_line(column).c_str(), stdout);
      return;
    }
    std::printf("        %-10s %-24s %-28s %s\n", "", name.c_str(), was.c_str(),
                std::string(is).c_str());
  };
  for (const MirrorColumn& column : table.columns) {
    const SourceColumn* const source = table.shape.column(column.attnum);
    line(column.name, source == nullptr ? "-" : source->type, column.type.declared());
  }
  for (const NumberColumn& column : number_columns(table)) {
    line(column.name, fmt::format("\"{}\" as a number", column.of), "REAL, generated");
  }
}

void tell_tables(SeedSession& session, CheckReport& report) {
  for (const SeedTable& table : session.tables()) {
    report.check("table", [&] {
      return fmt::format("\"{}\", {}", shown_name(table.mirrored),
                         counted(table.mirrored.columns.size(), "column"));
    });
    print_columns(table.mirrored, report.is_json());
  }
  for (const TableProblem& problem : session.problems()) {
    report.check("table", [&]() -> std::string {
      const std::string what =
          fmt::format("\"{}\" cannot be copied: {}", problem.name, problem.absence.reason);
      if (problem.exit_code == daystream::ExitCode::Usage) {
        throw daystream::ConfigError(what, problem.absence.hint);
      }
      throw daystream::NeedsPerson(what, problem.absence.hint);
    });
  }
}

// nullptr: the source cannot be reached, or is another one.
std::unique_ptr<SeedSession> look_at_source(const SourceConfig& source, const std::string& conninfo,
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
  tell_tables(*session, report);
  return session;
}

}  // namespace

void check_seed(const SeedOptions& options, const daystream::program::Signals& signals,
                CheckReport& report) {
  if (!report.check("names", [&] {
        check_distinct({}, options.config.all_tables());
        return counted(options.config.all_tables().size(), "table") +
               ", each with a name of its own";
      })) {
    return;
  }
  std::vector<SeedPart> parts;
  for (const SourceConfig& source : sources_of(options)) {
    auto session =
        look_at_source(source, source.connection.value_or(options.conninfo), signals, report);
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
