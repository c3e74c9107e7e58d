#include "up/publishing.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <set>

#include "managed_sql.h"
#include "model/names.h"
#include "program/hint.h"
#include "program/sql_owner.h"

namespace deltamirror {

using daystream::program::exec;
using daystream::program::exec_params;
using daystream::program::PgResult;
using daystream::program::query_value;
using daystream::program::quote_identifier;
using daystream::program::quote_literal;
using daystream::program::SqlError;

namespace {

// A comment says what is ours to remove.
constexpr const char* kMadeByUp = "made by deltamirror up";

constexpr const char* kQueryCanceled = "57014";
constexpr const char* kAllAreTaken = "53400";  // configuration_limit_exceeded

bool holds(PGconn* pg, const std::string& condition) {
  return query_value(pg, "SELECT " + condition).value_or("") == "t";
}

// In the spelling of SQL, each once.
std::set<std::string> sql_names(const std::vector<TableRequest>& tables) {
  std::set<std::string> names;
  for (const TableRequest& request : tables) {
    if (!request.table.empty()) names.insert(parse_table_name(request.table).sql());
  }
  return names;
}

// Why no slot can be made with `plugin`; empty: one can. The plugin is loaded before the server
// waits for older transactions, for which nobody has time here.
std::optional<SqlError> why_no_slot(PGconn* pg, const std::string& plugin) {
  const std::string slot = fmt::format("deltamirror_probe_{}_{}", getpid(), plugin);
  try {
    exec_params(pg, "SELECT pg_create_logical_replication_slot($1, $2, true)", {slot, plugin});
    exec_params(pg, "SELECT pg_drop_replication_slot($1)", {slot});
  } catch (const SqlError& e) {
    if (e.sqlstate() == kQueryCanceled) return std::nullopt;
    return e;
  }
  return std::nullopt;
}

// What lets a role make slots, where it is not its attribute: services have a role for that.
constexpr const char* kReplicationRoles[] = {"rds_replication"};

// What helps against `why` no slot can be made.
std::string hint_for_slots(PGconn* pg, const SqlError& why) {
  const std::string user = query_value(pg, "SELECT quote_ident(current_user)").value_or("");
  if (query_value(pg, "SHOW wal_level") != "logical") {
    return "ALTER SYSTEM SET wal_level = logical; then restart the server; a managed service has "
           "a setting of its own for that";
  }
  if (why.sqlstate() == kAllAreTaken) {
    return "drop a slot that nobody needs (SELECT slot_name, active FROM pg_replication_slots;), "
           "or "
           "ALTER SYSTEM SET max_replication_slots = …; then restart the server";
  }
  if (holds(pg, "pg_is_in_recovery()")) return "name the primary with -d: this server is a standby";
  if (holds(pg, "rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user")) {
    return why.hint().empty() ? "the log of the server may tell more" : why.hint();
  }
  for (const char* const role : kReplicationRoles) {
    if (query_value(pg, "SELECT to_regrole($1)", {role})) {
      return fmt::format("GRANT {} TO {};", role, user);
    }
  }
  return fmt::format("ALTER ROLE {} REPLICATION;", user);
}

// nullopt: it is not installed. Not by its name, which asks for the right to use the schema.
std::optional<std::string> comment_on_sql(PGconn* pg) {
  return query_value(pg,
                     "SELECT coalesce(obj_description(c.oid, 'pg_class'), '') FROM pg_class c JOIN "
                     "pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'deltaflood' AND "
                     "c.relname = 'ddl'");
}

// Rolled back, whatever comes of it.
std::optional<SqlError> why_no_event_trigger(PGconn* pg) {
  std::optional<SqlError> why;
  exec(pg, "BEGIN");
  try {
    exec(pg,
         "CREATE FUNCTION pg_temp.deltamirror_probe() RETURNS event_trigger LANGUAGE plpgsql AS "
         "'BEGIN END'; CREATE EVENT TRIGGER deltamirror_probe ON sql_drop EXECUTE FUNCTION "
         "pg_temp.deltamirror_probe()");
  } catch (const SqlError& e) {
    why = e;
  }
  exec(pg, "ROLLBACK");
  return why;
}

bool has_event_triggers(PGconn* pg) {
  return holds(pg,
               "count(*) = 3 FROM pg_event_trigger WHERE evtname IN ('deltaflood_ddl', "
               "'deltaflood_drop', 'deltaflood_rewrite') AND evtenabled = 'A'");
}

void look_at_table(PGconn* pg, const std::string& table, std::vector<Lack>& lacks) {
  const PgResult row = exec_params(
      pg,
      "SELECT pg_has_role(c.relowner, 'USAGE'), format('GRANT %I TO %I;', "
      "pg_get_userbyid(c.relowner), current_user), c.oid::regclass, c.relkind = 'p' OR "
      "c.relreplident = 'f' OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND "
      "i.indimmediate AND i.indisvalid AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN "
      "'i' THEN i.indisreplident ELSE false END) FROM pg_class c WHERE c.oid = $1::regclass",
      {table});
  const std::string name = PQgetvalue(row.get(), 0, 2);
  if (*PQgetvalue(row.get(), 0, 0) != 't') {
    lacks.push_back({fmt::format("only the owner of table {} may publish it", name),
                     PQgetvalue(row.get(), 0, 1)});
  }
  if (*PQgetvalue(row.get(), 0, 3) != 't') {
    lacks.push_back(
        {fmt::format("table {} has no replica identity: once it is published, PostgreSQL refuses "
                     "every UPDATE and DELETE of it",
                     name),
         fmt::format("ALTER TABLE {0} ADD PRIMARY KEY …; or ALTER TABLE {0} REPLICA IDENTITY FULL;",
                     name)});
  }
}

void look_at_sql(PGconn* pg, std::vector<Lack>& lacks) {
  if (!comment_on_sql(pg)) {
    const auto why = why_no_event_trigger(pg);
    if (!why) return;
    lacks.push_back({fmt::format("event triggers, which note what DDL changes: {}", why->what()),
                     "SELECT deltaflood.create_triggers(); once, as a role that may; or call "
                     "deltaflood.changed() in each migration, after its DDL",
                     false});
    return;
  }
  const PgResult row = exec(
      pg,
      "SELECT pg_has_role(c.relowner, 'USAGE'), format('GRANT %I TO %I;', "
      "pg_get_userbyid(c.relowner), current_user) FROM pg_class c JOIN pg_namespace n ON n.oid = "
      "c.relnamespace WHERE n.nspname = 'deltaflood' AND c.relname = 'ddl'");
  if (*PQgetvalue(row.get(), 0, 0) != 't') {
    lacks.push_back({"deltaflood_managed.sql is installed here by another role",
                     fmt::format("{} or let it make the publication, and name that with "
                                 "--publication",
                                 PQgetvalue(row.get(), 0, 1))});
    return;
  }
  try {
    daystream::program::require_trusted_sql(pg, "");
  } catch (const daystream::NeedsPerson& e) {
    lacks.push_back({e.what(), e.hint()});
  }
}

// nullopt: there is none.
std::optional<std::string> comment_on_publication(PGconn* pg, const std::string& publication) {
  return query_value(pg,
                     "SELECT coalesce(obj_description(oid, 'pg_publication'), '') FROM "
                     "pg_publication WHERE pubname = $1",
                     {publication});
}

void install_sql(PGconn* pg) {
  if (comment_on_sql(pg)) return;
  try {
    exec(pg, std::string(kManagedSql));  // one transaction
  } catch (...) {
    exec(pg, "ROLLBACK");
    throw;
  }
  exec(pg, fmt::format("COMMENT ON TABLE deltaflood.ddl IS '{}'", kMadeByUp));
}

}  // namespace

Ways find_ways(PGconn* pg) {
  Ways ways;
  exec(pg, "SET statement_timeout = '1s'");
  if (const auto why = why_no_slot(pg, "deltaflood")) {
    ways.plugin = why->what();
    if (const auto other = why_no_slot(pg, "pgoutput")) {
      ways.pgoutput = other->what();
      ways.hint = hint_for_slots(pg, *other);
    }
  }
  exec(pg, "RESET statement_timeout");
  return ways;
}

std::vector<Lack> find_lacks(PGconn* pg, const std::vector<TableRequest>& tables) {
  std::vector<Lack> lacks;
  if (!holds(pg, "has_database_privilege(current_database(), 'CREATE')")) {
    lacks.push_back({"this role may not make a publication in the database",
                     query_value(pg,
                                 "SELECT format('GRANT CREATE ON DATABASE %I TO %I;', "
                                 "current_database(), current_user)")
                         .value_or("")});
  }
  for (const std::string& table : sql_names(tables)) look_at_table(pg, table, lacks);
  look_at_sql(pg, lacks);
  return lacks;
}

Publication find_publication(PGconn* pg, const std::string& publication) {
  const auto comment = comment_on_publication(pg, publication);
  if (!comment) return Publication::None;
  return *comment == kMadeByUp ? Publication::Ours : Publication::Theirs;
}

namespace {

// Those of `tables` of which something is published, or those of which nothing is. `oids`: of what
// may stand for table $2, as SQL.
std::vector<std::string> names_published(PGconn* pg, const std::string& publication,
                                         const std::vector<TableRequest>& tables, bool published,
                                         const std::string& oids) {
  std::vector<std::string> names;
  for (const std::string& table : sql_names(tables)) {
    const auto found = query_value(
        pg,
        "SELECT 1 FROM pg_publication_tables t, pg_class c JOIN pg_namespace n ON n.oid = "
        "c.relnamespace WHERE t.pubname = $1 AND t.schemaname = n.nspname AND t.tablename = "
        "c.relname AND c.oid IN (" +
            oids + ")",
        {publication, table});
    if (found.has_value() == published) names.push_back(table);
  }
  return names;
}

}  // namespace

std::vector<std::string> unpublished(PGconn* pg, const std::string& publication,
                                     const std::vector<TableRequest>& tables) {
  return names_published(
      pg, publication, tables, false,
      "SELECT relid FROM pg_partition_tree($2::regclass) UNION SELECT $2::regclass");
}

std::vector<std::string> published_names(PGconn* pg, const std::string& publication,
                                         const std::vector<TableRequest>& tables) {
  return names_published(pg, publication, tables, true, "$2::regclass");
}

bool publish(PGconn* pg, const std::string& publication, const std::vector<TableRequest>& tables) {
  install_sql(pg);
  const std::string name = quote_identifier(publication);
  exec(pg, "BEGIN");
  try {
    if (find_publication(pg, publication) == Publication::None) {
      exec(pg, fmt::format("CREATE PUBLICATION {} FOR TABLE {}", name,
                           fmt::join(sql_names(tables), ", ")));
      exec(pg, fmt::format("COMMENT ON PUBLICATION {} IS '{}'", name, kMadeByUp));
    } else {
      for (const std::string& table : unpublished(pg, publication, tables)) {
        exec(pg, fmt::format("ALTER PUBLICATION {} ADD TABLE {}", name, table));
      }
    }
    daystream::program::require_trusted_sql(pg, publication);
    exec(pg, fmt::format("SELECT deltaflood.install({})", quote_literal(publication)));
    exec(pg, "COMMIT");
  } catch (...) {
    exec(pg, "ROLLBACK");
    throw;
  }
  return has_event_triggers(pg);
}

std::vector<std::string> keep_published(PGconn* pg, const std::string& publication,
                                        const std::vector<TableRequest>& tables) {
  std::vector<std::string> out;
  if (find_publication(pg, publication) != Publication::Ours) return out;
  const PgResult now = exec_params(
      pg,
      "SELECT r.prrelid, format('%I.%I', n.nspname, c.relname) FROM pg_publication_rel r JOIN "
      "pg_publication p ON p.oid = r.prpubid JOIN pg_class c ON c.oid = r.prrelid JOIN "
      "pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = $1 AND n.nspname <> 'deltaflood'",
      {publication});
  std::set<std::string> wanted;
  for (const std::string& table : sql_names(tables)) {
    wanted.insert(query_value(pg, "SELECT to_regclass($1)::oid", {table}).value_or(""));
  }
  for (int row = 0; row < PQntuples(now.get()); ++row) {
    if (wanted.contains(PQgetvalue(now.get(), row, 0))) continue;
    out.emplace_back(PQgetvalue(now.get(), row, 1));
  }
  // A publication of no table would be one of nothing that is wanted.
  if (out.size() == static_cast<std::size_t>(PQntuples(now.get()))) return {};
  for (const std::string& table : out) {
    exec(pg,
         fmt::format("ALTER PUBLICATION {} DROP TABLE {}", quote_identifier(publication), table));
  }
  return out;
}

std::vector<std::string> unpublish(const std::string& conninfo, const std::string& publication) {
  std::vector<std::string> removed;
  if (publication.empty()) return removed;
  const daystream::program::PgConn session = daystream::program::connect(conninfo, "deltamirror");
  PGconn* const pg = session.get();
  if (find_publication(pg, publication) == Publication::Ours) {
    exec(pg, fmt::format("DROP PUBLICATION {}", quote_identifier(publication)));
    removed.push_back("publication " + publication);
  }
  const bool used = holds(pg,
                          "EXISTS (SELECT FROM pg_publication_tables WHERE schemaname = "
                          "'deltaflood' AND tablename = 'ddl')");
  if (!used && comment_on_sql(pg) == kMadeByUp) {
    try {
      daystream::program::require_trusted_sql(pg, publication);
      exec(pg, "SELECT deltaflood.uninstall()");
      removed.emplace_back("schema deltaflood, which told the shapes of tables");
    } catch (const daystream::NeedsPerson& e) {
      spdlog::warn("{}", daystream::program::with_hint(e.what(), e.hint()));
    }
  }
  return removed;
}

}  // namespace deltamirror
