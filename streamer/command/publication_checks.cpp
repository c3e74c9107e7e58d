#include "command/publication_checks.h"

#include <fmt/format.h>

#include "program/postgres.h"
#include "server/publication.h"

namespace deltastream {

using daystream::NeedsPerson;
using daystream::program::CheckReport;
using daystream::program::PgConn;
using daystream::program::PgResult;
namespace program = daystream::program;

namespace {

std::string value(PGconn* pg, const std::string& sql) {
  return program::query_value(pg, sql).value_or("");
}

// Before the file is installed: whether this role could do it.
void look_at_installing(PGconn* pg, CheckReport& report) {
  if (value(pg, "SELECT has_database_privilege(current_database(), 'CREATE')") == "t") return;
  report.warn("installing",
              "this role may not install deltaflood_managed.sql, nor make a publication: it has no "
              "CREATE on the database",
              value(pg,
                    "SELECT format('as the owner of the database: GRANT CREATE ON DATABASE %I "
                    "TO %I; or install it as another role', current_database(), current_user)"));
}

// Without them the stream goes on, and knows less.
void look_at_triggers(PGconn* pg, CheckReport& report) {
  const std::string missing = value(
      pg,
      "SELECT string_agg(name, ', ') FROM unnest(ARRAY['deltaflood_ddl', 'deltaflood_drop', "
      "'deltaflood_rewrite']) name WHERE NOT EXISTS (SELECT FROM pg_event_trigger WHERE evtname = "
      "name AND evtenabled = 'A')");
  if (missing.empty()) return;
  report.warn(
      "event triggers",
      fmt::format("{} {} not there, or not enabled always: what changes tables is not noted "
                  "by itself",
                  missing, missing.find(',') == std::string::npos ? "is" : "are"),
      "SELECT deltaflood.create_triggers() as a role that may make event triggers; or call "
      "deltaflood.changed() in each migration, after its DDL");
}

std::string look_at_publication(PGconn* pg, const std::string& publication, CheckReport& report) {
  check_publication(pg, publication);
  for (const std::string& table : tables_without_identity(pg, publication)) {
    report.warn("publication", fmt::format("table {} has no replica identity", table),
                fmt::format("ALTER TABLE {0} ADD PRIMARY KEY …, or ALTER TABLE {0} REPLICA "
                            "IDENTITY FULL",
                            table));
  }
  return fmt::format("\"{}\" has all changes of its tables, and their shapes", publication);
}

}  // namespace

void check_publishing(const std::string& conninfo, const std::string& publication,
                      CheckReport& report) {
  PgConn session;
  if (!report.check("session", [&] {
        session = program::connect(conninfo, "deltastream");
        return std::string("beside the stream");
      })) {
    return;
  }
  PGconn* const pg = session.get();
  const bool installed = has_shapes(pg);
  if (!installed) look_at_installing(pg, report);
  report.check("publication", [&] { return look_at_publication(pg, publication, report); });
  if (installed) look_at_triggers(pg, report);
}

}  // namespace deltastream
