#include "server/publication.h"

#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <utility>

#include "daystream/manifest.h"
#include "pgoutput/shape.h"
#include "program/sql_owner.h"
#include "server/server_error.h"

namespace deltastream {

using daystream::NeedsPerson;
using daystream::Untold;
using daystream::program::PgResult;
using daystream::program::UntoldText;
namespace program = daystream::program;

namespace {

// What decides how a value is spelt, as plugin/settings.cpp has it.
constexpr std::array<std::pair<const char*, const char*>, 10> kSettings = {{
    {"DateStyle", "ISO"},
    {"IntervalStyle", "postgres"},
    {"extra_float_digits", "3"},
    {"bytea_output", "hex"},
    {"TimeZone", "UTC"},
    {"search_path", ""},
    {"lc_monetary", "C"},
    {"quote_all_identifiers", "off"},
    {"xmlbinary", "base64"},
    {"client_encoding", "UTF8"},
}};

bool is_true(const PgResult& row, int column) {
  return *PQgetvalue(row.get(), 0, column) == 't';
}

// `sql` with the publication's name for each $1: a replication connection takes no parameters.
PgResult ask(PGconn* connection, std::string sql, const std::string& publication) {
  const std::string name = program::quote_literal(publication);
  for (std::size_t at = 0; (at = sql.find("$1", at)) != std::string::npos; at += name.size()) {
    sql.replace(at, 2, name);
  }
  return program::exec(connection, sql);
}

std::vector<std::string> first_column(const PgResult& rows) {
  std::vector<std::string> out;
  for (int i = 0; i < PQntuples(rows.get()); ++i) out.emplace_back(PQgetvalue(rows.get(), i, 0));
  return out;
}

// What a stream calls there, by its own role.
void check_rights(PGconn* connection) {
  const auto missing = program::query_value(
      connection,
      "SELECT string_agg(f, ', ') FROM unnest(ARRAY['deltaflood.shapes(name)', "
      "'deltaflood.changed()', 'deltaflood.repeat_shapes(oid[])', 'deltaflood.trim(interval)', "
      "'deltaflood.claim(name, text, text, boolean)']) f "
      "WHERE CASE WHEN has_schema_privilege('deltaflood', 'USAGE') THEN to_regprocedure(f) IS NULL "
      "OR NOT has_function_privilege(to_regprocedure(f), 'EXECUTE') ELSE true END");
  if (!missing) return;
  throw NeedsPerson(
      fmt::format("this role may not call {}", *missing),
      program::query_value(
          connection,
          "SELECT format('As role %I: SELECT deltaflood.grant_source(%L); where a function is "
          "missing, run deltaflood_managed.sql of this version again first.', "
          "pg_get_userbyid(nspowner), current_user) FROM pg_namespace WHERE nspname = 'deltaflood'")
          .value_or(""));
}

// What it has of each table with rows. By the same look at the catalog, and the same decision, as
// shapes in the stream.
void read_tables(PGconn* connection, const std::string& publication, Published& out) {
  const PgResult rows = ask(
      connection,
      // In quotes, so that letters are what they are and a star is no wildcard.
      "SELECT format('\"%s\".\"%s\"', replace(h.schema, '\"', '\"\"'), replace(h.name, '\"', "
      "'\"\"')), format('%I.%I', h.schema, h.name), to_jsonb(h.publications), concat(h.oid, "
      "(SELECT "
      "string_agg(concat(' ', r.oid, ':', r.xmin), '' ORDER BY r.oid) FROM pg_publication_rel r "
      "WHERE r.prpubid = p.oid AND (r.prrelid = h.oid OR r.prrelid = ANY (h.ancestors::oid[]))), "
      "(SELECT concat(' ', s.oid, ':', s.xmin) FROM pg_publication_namespace s JOIN pg_namespace n "
      "ON n.oid = s.pnnspid WHERE s.pnpubid = p.oid AND n.nspname = h.schema)) "
      "FROM pg_publication p, deltaflood.heads(p.pubname, NULL) h "
      "WHERE p.pubname = $1 AND h.kind = 'r' ORDER BY 1",
      publication);
  for (int i = 0; i < PQntuples(rows.get()); ++i) {
    const std::string table = PQgetvalue(rows.get(), i, 0);
    const auto why = pgoutput::why_untold(PQgetvalue(rows.get(), i, 2), publication);
    if (!why) {
      out.whole.push_back(table);
      out.versions[table] = PQgetvalue(rows.get(), i, 3);
    } else if (*why != Untold::NotThere && !out.none) {
      out.partly.push_back({table, PQgetvalue(rows.get(), i, 1), *why});
    }
  }
}

}  // namespace

// Not by its name, which asks for the right to use the schema.
bool has_shapes(PGconn* connection) {
  return program::query_value(connection,
                              "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = "
                              "c.relnamespace WHERE n.nspname = 'deltaflood' AND c.relname = 'ddl'")
      .has_value();
}

Published look_at_publication(PGconn* connection, const std::string& publication) {
  const PgResult row =
      ask(connection,
          "SELECT p.puballtables, p.pubviaroot, p.pubowner, concat(p.oid, ':', p.xmin, (SELECT "
          "concat(' ', r.oid) FROM pg_publication_rel r JOIN pg_class c ON c.oid = r.prrelid JOIN "
          "pg_namespace n ON n.oid = c.relnamespace WHERE r.prpubid = p.oid AND n.nspname = "
          "'deltaflood' AND c.relname = 'ddl')), p.pubinsert AND p.pubupdate AND p.pubdelete AND "
          "p.pubtruncate FROM pg_publication p WHERE p.pubname = $1",
          publication);
  if (PQntuples(row.get()) == 0) {
    throw NeedsPerson(
        fmt::format("publication \"{}\" does not exist", publication),
        fmt::format("CREATE PUBLICATION {} FOR TABLE …; SELECT deltaflood.install({});",
                    program::quote_identifier(publication), program::quote_literal(publication)));
  }
  if (!has_shapes(connection)) {
    throw NeedsPerson(
        "the database has no table deltaflood.ddl, by which shapes of tables are told",
        "psql -f deltaflood_managed.sql; then SELECT deltaflood.install('…');");
  }
  program::require_trusted_sql(connection, publication);
  check_rights(connection);
  Published out;
  out.owner = PQgetvalue(row.get(), 0, 2);
  out.version = PQgetvalue(row.get(), 0, 3);
  const bool tells_shapes =
      PQntuples(ask(connection,
                    "SELECT 1 FROM pg_publication_tables WHERE pubname = $1 AND schemaname = "
                    "'deltaflood' AND tablename = 'ddl'",
                    publication)
                    .get()) != 0;
  if (!is_true(row, 4)) {
    out.none = Untold::Actions;
  } else if (is_true(row, 1)) {
    out.none = Untold::ViaRoot;
  } else if (!tells_shapes) {
    out.none = Untold::Shapes;
  }
  if (!is_true(row, 0)) {
    read_tables(connection, publication, out);
    if (out.whole.empty()) out.whole = no_tables();
  }
  if (out.none) out.whole = no_tables();
  return out;
}

Published check_publication(PGconn* connection, const std::string& publication) {
  Published now = look_at_publication(connection, publication);
  if (const auto problem = now.problem(publication))
    throw NeedsPerson(problem->what, problem->hint);
  return now;
}

std::optional<PublishedTables> Published::lost_since(const Published& before,
                                                     const PublishedTables& told) const {
  // Another owner is another version, too.
  if (none || (owner == before.owner && version != before.version)) return std::nullopt;
  PublishedTables lost;
  for (const std::string& table : told) {
    const auto now = versions.find(table);
    const auto then = before.versions.find(table);
    const bool is_all = whole.empty();  // it has no table by itself
    if (is_all ||
        (now != versions.end() && (then == before.versions.end() || now->second == then->second))) {
      continue;
    }
    lost.push_back(table);
  }
  return lost;
}

std::vector<std::pair<std::string, std::string>> Published::untold_options() const {
  if (none) return {{std::string(daystream::program::untold_option(*none)), ""}};
  std::vector<std::pair<std::string, std::string>> out;
  for (const Untold why : daystream::program::kUntoldReasons) {
    PublishedTables tables;
    for (const Partly& each : partly) {
      if (each.why == why) tables.push_back(each.table);
    }
    if (!tables.empty())
      out.emplace_back(daystream::program::untold_option(why), table_list(tables));
  }
  return out;
}

std::optional<UntoldText> Published::problem(const std::string& publication) const {
  if (none) return program::untold_text(*none, publication, "");
  if (partly.empty()) return std::nullopt;
  return program::untold_text(partly[0].why, publication, partly[0].shown);
}

std::vector<std::string> tables_without_identity(PGconn* connection,
                                                 const std::string& publication) {
  return first_column(ask(
      connection,
      "SELECT c.oid::regclass FROM pg_publication_tables t JOIN pg_namespace n ON n.nspname = "
      "t.schemaname JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename WHERE "
      "t.pubname = $1 AND n.nspname <> 'deltaflood' AND c.relkind = 'r' AND c.relreplident <> 'f' "
      "AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indimmediate AND "
      "i.indisvalid AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN "
      "i.indisreplident ELSE false END) ORDER BY 1",
      publication));
}

PublishedTables no_tables() {
  return {"deltaflood.ddl"};  // no list would be all tables
}

bool has_table(const PublishedTables& tables, const std::string& table) {
  return tables.empty() || daystream::table_list_matches(table_list(tables), table);
}

std::string table_list(const PublishedTables& tables) {
  return fmt::format("{}", fmt::join(tables, ","));
}

void claim_slot(const std::string& conninfo, const std::string& slot, const SlotClaim& claim) {
  const program::PgConn session = program::connect(conninfo, "deltastream");
  PGconn* const pg = session.get();
  if (program::query_value(pg, "SELECT pg_is_in_recovery()") == "t") return;
  try {
    program::exec(pg, "BEGIN");
    // A commit that waits for a synchronous standby, which may be us, must not be ours.
    program::exec(pg, "SET LOCAL synchronous_commit = local");
    program::exec_params(pg, "SELECT deltaflood.claim($1, $2, $3, $4)",
                         {slot, claim.id, claim.name, claim.adopt ? "t" : "f"});
    program::exec(pg, "COMMIT");
  } catch (const program::SqlError& e) {
    explain_server_error(e);
  }
}

std::vector<std::pair<std::string, std::string>> pgoutput_options(const std::string& publication,
                                                                  bool in_progress) {
  return {{"proto_version", "2"},
          {"publication_names", program::quote_identifier(publication)},
          {"streaming", in_progress ? "on" : "off"},
          {"messages", "true"}};
}

void fix_settings(ReplicationConnection& connection) {
  for (const auto& [name, value] : kSettings) {
    connection.exec(fmt::format("SET {} = '{}'", name, value));
  }
  for (const auto& [name, value] : kSettings) {
    const std::string is = connection.query_value(fmt::format("SHOW {}", name)).value_or("");
    // DateStyle goes on with the order of days and months, search_path may show its quotes.
    if (is == value || is.starts_with(fmt::format("{}, ", value)) || is == "\"\"") continue;
    throw NeedsPerson(
        fmt::format("setting {} is \"{}\" in our session, not \"{}\"", name, is, value),
        "look what overrules it: a pooler in between, or the role's settings");
  }
}

std::vector<pgoutput::ShapeRow> read_shapes(const std::string& conninfo,
                                            const std::string& snapshot,
                                            const std::string& publication) {
  const program::PgConn connection =
      program::connect(conninfo, "deltastream", {{"client_encoding", "UTF8"}});
  program::exec(connection.get(), "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  program::exec(connection.get(),
                fmt::format("SET TRANSACTION SNAPSHOT {}", program::quote_literal(snapshot)));
  const PgResult rows = program::exec_params(
      connection.get(), "SELECT relid, shape FROM deltaflood.shapes($1)", {publication});
  std::vector<pgoutput::ShapeRow> out;
  for (int i = 0; i < PQntuples(rows.get()); ++i) {
    const auto relation = std::strtoul(PQgetvalue(rows.get(), i, 0), nullptr, 10);
    out.push_back({static_cast<std::uint32_t>(relation), "shape", PQgetvalue(rows.get(), i, 1)});
  }
  return out;
}

std::uint64_t tell_shapes(PGconn* connection, const std::set<std::uint32_t>& relations) {
  // It waits for transactions with DDL, and new ones wait for it.
  program::exec(connection, "SET lock_timeout = '5s'");
  const std::string which =
      relations.count(0) != 0 ? "NULL" : fmt::format("'{{{}}}'", fmt::join(relations, ","));
  const auto told = program::query_value(
      connection, fmt::format("SELECT deltaflood.repeat_shapes({}::oid[])", which));
  return std::strtoull(told.value_or("0").c_str(), nullptr, 10);
}

}  // namespace deltastream
