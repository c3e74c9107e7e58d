// deltamirror list: what Deltaflood has on a server.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "command/commands.h"
#include "program/common_flags.h"
#include "program/harmless.h"
#include "program/postgres.h"
#include "src/json_text.h"

namespace deltamirror {

namespace {

using daystream::program::PgConn;
using daystream::program::PgResult;
using nlohmann::ordered_json;

// The result's rows, each an object with the columns' names; NULL is null.
ordered_json rows_of(PGconn* connection, const std::string& sql) {
  const PgResult result = daystream::program::exec(connection, sql);
  ordered_json out = ordered_json::array();
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    ordered_json& object = out.emplace_back(ordered_json::object());
    for (int column = 0; column < PQnfields(result.get()); ++column) {
      object[PQfname(result.get(), column)] =
          PQgetisnull(result.get(), row, column)
              ? ordered_json()
              : ordered_json(PQgetvalue(result.get(), row, column));
    }
  }
  return out;
}

// Whose a slot is stands in a file beside it (plugin/claim.h), which few may read.
std::string claim_sql(PGconn* connection) {
  constexpr const char* kMayRead =
      "SELECT has_function_privilege('pg_read_file(text, bigint, bigint, boolean)', 'EXECUTE')";
  if (daystream::program::query_value(connection, kMayRead) != "t") return "NULL";
  return "btrim(pg_read_file('pg_replslot/' || s.slot_name || '/deltaflood', 0, 4096, true), "
         "E'\\n')";
}

ordered_json slots(PGconn* connection) {
  return rows_of(connection,
                 fmt::format("SELECT s.slot_name AS name, s.database, s.wal_status, "
                             "s.active_pid AS process, a.usename AS role, "
                             "coalesce(host(a.client_addr), a.application_name) AS reader, "
                             "pg_size_pretty(pg_current_wal_lsn() - s.restart_lsn) AS keeps, "
                             "{} AS claim "
                             "FROM pg_replication_slots s "
                             "LEFT JOIN pg_stat_activity a ON a.pid = s.active_pid "
                             "WHERE s.plugin = 'deltaflood' ORDER BY 1",
                             claim_sql(connection)));
}

// Who may stream, by the right to it or by what the extension has granted; who does is among them.
ordered_json roles(PGconn* connection) {
  return rows_of(
      connection,
      "SELECT r.rolname AS name, r.rolreplication::text AS may_replicate, "
      "(SELECT count(*)::text FROM pg_stat_activity a WHERE a.usename = r.rolname AND "
      "a.application_name IN ('deltastream', 'deltamirror')) AS sessions, "
      "(SELECT string_agg(c.oid::regclass::text, ', ' ORDER BY 1) FROM pg_class c, "
      "aclexplode(c.relacl) acl WHERE acl.grantee = r.oid AND acl.privilege_type = 'SELECT' AND "
      "c.relkind IN ('r', 'p', 'v', 'm') AND c.relnamespace::regnamespace::text <> 'deltaflood') "
      "AS may_read "
      "FROM pg_roles r WHERE NOT r.rolsuper AND r.rolname !~ '^pg_' AND (r.rolreplication OR "
      "EXISTS (SELECT FROM pg_class c, aclexplode(c.relacl) acl WHERE acl.grantee = r.oid)) "
      "ORDER BY 1");
}

std::string shown(const ordered_json& object, const char* key) {
  return object[key].is_null() ? "" : daystream::program::harmless(object[key].get<std::string>());
}

// "keeps 16 MB of WAL (reserved)"; one that is lost, or was never used, keeps none.
std::string kept_by(const ordered_json& slot) {
  const std::string size = shown(slot, "keeps");
  const std::string status = shown(slot, "wal_status");
  return fmt::format("keeps {}{}", size.empty() ? "no WAL" : size + " of WAL",
                     status.empty() ? "" : fmt::format(" ({})", status));
}

void print(const ordered_json& all) {
  for (const ordered_json& slot : all["slots"]) {
    const std::string process = shown(slot, "process");
    fmt::print("slot  {}  database {}, {}, {}\n", shown(slot, "name"), shown(slot, "database"),
               kept_by(slot),
               process.empty() ? "read by nobody"
                               : fmt::format("read by process {}, role {}, of {}", process,
                                             shown(slot, "role"), shown(slot, "reader")));
    if (process.empty()) {
      fmt::print("      where nothing needs it: SELECT pg_drop_replication_slot('{}');\n",
                 shown(slot, "name"));
    }
    if (!slot["claim"].is_null()) fmt::print("      of daystream {}\n", shown(slot, "claim"));
  }
  for (const ordered_json& role : all["roles"]) {
    const std::string tables = shown(role, "may_read");
    fmt::print("role  {}  {}{}{} of our sessions now\n", shown(role, "name"),
               shown(role, "may_replicate") == "true" ? "may replicate, " : "",
               tables.empty() ? "" : fmt::format("may read {}, ", tables), shown(role, "sessions"));
  }
  for (const ordered_json& extension : all["extensions"]) {
    fmt::print("extension  deltaflood {}\n", shown(extension, "version"));
  }
  if (all["slots"].empty()) fmt::print("no slot of deltaflood: nothing is kept for it\n");
}

int list(const std::string& conninfo, bool json) {
  const PgConn connection = daystream::program::connect(conninfo, "deltamirror");
  ordered_json all;
  all["slots"] = slots(connection.get());
  all["roles"] = roles(connection.get());
  all["extensions"] =
      rows_of(connection.get(),
              "SELECT extversion AS version FROM pg_extension WHERE extname = 'deltaflood'");
  if (json) {
    fmt::print("{}", daystream::json_page(all));
  } else {
    print(all);
  }
  return 0;
}

}  // namespace

void add_list(CLI::App& app, Chosen& chosen) {
  struct Options {
    std::optional<std::string> conninfo;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand(
      "list", "show what deltaflood has on a server: slots, what they keep, who reads, roles");
  add_connection_option(command, options->conninfo)->required();
  daystream::program::add_json_flag(command, options->json);
  command.footer(
      "Whose a slot is, only a superuser sees, or who may run pg_read_file(). Roles are those of "
      "this\ndatabase that may replicate, or were granted a table.\n\n"
      "Examples:\n"
      "  deltamirror list -d service=prod\n"
      "  deltamirror list -d service=prod --json");
  command.callback([options, &chosen] {
    chosen = [options](daystream::program::Signals&) {
      return list(*options->conninfo, options->json);
    };
  });
}

}  // namespace deltamirror
