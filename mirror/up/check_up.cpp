#include "up/check_up.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "owner/own_program.h"
#include "program/check_report.h"
#include "seed/rehearsal.h"
#include "seed/seed_file.h"
#include "seed/seed_session.h"
#include "store/mirror_file.h"
#include "up/plan.h"

namespace deltamirror {

namespace fs = std::filesystem;
using daystream::NeedsPerson;
using daystream::program::CheckReport;
using daystream::program::PgConn;

namespace {

class Check {
 public:
  Check(const UpOptions& options, const daystream::program::Signals& signals)
      : options_(options), signals_(signals) {}

  int run() {
    look_at_mirror();
    std::vector<OwnStream> streams;
    if (!report_.check("tables", [&] {
          streams = plan_streams(options_);
          return fmt::format("of {} stream{}", streams.size(), streams.size() == 1 ? "" : "s");
        })) {
      return report_.exit_code();
    }
    for (OwnStream& stream : streams) look_at(stream);
    if (all_tables_fit_ &&
        sessions_.size() == std::max<std::size_t>(options_.choice.config.sources.size(), 1)) {
      report_.check("SQLite", [&] {
        rehearse(sessions_, options_.choice.config);
        return std::string("takes the tables, their indexes and extra_sql");
      });
    }
    return report_.exit_code();
  }

 private:
  void look_at_mirror() {
    const std::string& mirror = options_.run.mirror;
    const fs::path folder = fs::absolute(mirror).parent_path();
    report_.check_directory(folder);
    report_.check_room(folder);
    report_.check("mirror", [&] {
      if (fs::exists(mirror)) {
        static_cast<void>(open_for_reading(mirror));
        return fmt::format("\"{}\" is there, and will be gone on with", mirror);
      }
      check_absent(mirror);
      return fmt::format("\"{}\" will be made", mirror);
    });
  }

  void look_at(OwnStream& stream) {
    PgConn session;
    if (!report_.check("session", [&] {
          session = daystream::program::connect(stream.conninfo, "deltamirror");
          return fmt::format("database \"{}\"", PQdb(session.get()));
        })) {
      return;
    }
    PGconn* const pg = session.get();
    look_at_tables_of(stream);
    Ways ways;
    if (!report_.check("plugin", [&] {
          ways = choose_source(options_, stream, pg);
          return said_of(stream, ways);
        })) {
      return look_at_publishing(pg, stream);
    }
    if (!stream.publication.empty()) look_at_publishing(pg, stream);
    // It would say of a publication that will be made that it is not there.
    if (stream.publication.empty() ||
        find_publication(pg, stream.publication) != Publication::None) {
      look_at_stream(stream);
    }
  }

  // What is wrong with each is said at once: who grants rights is not to be asked once a table.
  void look_at_tables_of(const OwnStream& stream) {
    std::unique_ptr<SeedSession> session;
    std::size_t problems = 0;
    const bool is_looked_at = report_.check("tables", [&] {
      session = look_at_tables(options_, stream, signals_);
      problems = session->problems().size();
      return problems == 0 ? std::string("can be copied")
                           : fmt::format("{} can be copied", session->tables().size());
    });
    all_tables_fit_ = all_tables_fit_ && is_looked_at && problems == 0;
    if (!is_looked_at) return;
    for (const TableProblem& problem : session->problems()) {
      report_.check("table", [&]() -> std::string {
        const std::string what =
            fmt::format("\"{}\" cannot be copied: {}", problem.name, problem.absence.reason);
        if (problem.exit_code == daystream::ExitCode::Usage) {
          throw daystream::ConfigError(what, problem.absence.hint);
        }
        throw NeedsPerson(what, problem.absence.hint);
      });
    }
    sessions_.push_back({daystream::Stream(stream.directory), std::move(session)});
  }

  static std::string said_of(const OwnStream& stream, const Ways& ways) {
    if (!ways.pgoutput.empty())
      throw NeedsPerson("no slot can be made: " + ways.pgoutput, ways.hint);
    if (stream.publication.empty()) return "ours";
    return fmt::format("PostgreSQL's own, by publication \"{}\"{}", stream.publication,
                       ways.plugin.empty() ? "" : ", as ours is not there: " + ways.plugin);
  }

  void look_at_publishing(PGconn* pg, const OwnStream& stream) {
    const bool is_theirs = find_publication(pg, stream.publication) == Publication::Theirs;
    report_.check("publication", [&] {
      if (!stream.publication.empty()) check_theirs(pg, stream, is_theirs);
      return fmt::format("{}", is_theirs ? "has the tables" : "will have the tables");
    });
    if (is_theirs) return;
    for (const Lack& lack : lacks(pg, stream)) {
      if (!lack.needed || stream.publication.empty()) {
        report_.warn("rights", lack.what, lack.hint);
      } else {
        report_.check("rights", [&]() -> std::string { throw NeedsPerson(lack.what, lack.hint); });
      }
    }
  }

  static void check_theirs(PGconn* pg, const OwnStream& stream, bool is_theirs) {
    if (is_theirs) check_publishing(pg, stream, stream.tables);
  }

  // A table that is not there was said before.
  std::vector<Lack> lacks(PGconn* pg, const OwnStream& stream) {
    try {
      return find_lacks(pg, stream.tables);
    } catch (const daystream::program::SqlError&) {
      return {};
    }
  }

  void look_at_stream(const OwnStream& stream) {
    std::vector<std::string> argv = deltastream_command(options_, stream);
    argv.insert(argv.begin() + 1, "--check");
    report_.check("deltastream", [&]() -> std::string {
      std::fflush(stdout);
      const auto end = start_own(argv)->wait();
      if (!end.is_good())
        throw NeedsPerson("it could not start", "what it says above is the reason");
      return "has all that it needs";
    });
  }

  const UpOptions& options_;
  const daystream::program::Signals& signals_;
  CheckReport report_;
  std::vector<SeedPart> sessions_;
  bool all_tables_fit_ = true;
};

}  // namespace

int check_up(const UpOptions& options, const daystream::program::Signals& signals) {
  return Check(options, signals).run();
}

}  // namespace deltamirror
