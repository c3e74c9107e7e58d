#include "program/sql_owner.h"

#include <fmt/format.h>

#include "program/postgres.h"

namespace daystream::program {

namespace {

// As text, since a replication connection takes no parameters. {}: the publication.
constexpr std::string_view kOthersIn = R"(
  WITH ours AS (SELECT n.oid, n.nspowner, n.nspacl FROM pg_namespace n
                WHERE n.nspname = 'deltaflood'),
  held AS (
    SELECT 'schema deltaflood belongs to' AS what, o.nspowner AS role FROM ours o
    UNION ALL
    SELECT format('function %s belongs to', p.oid::regprocedure), p.proowner
    FROM pg_proc p JOIN ours o ON p.pronamespace = o.oid
    UNION ALL
    SELECT 'schema deltaflood lets objects be created by', a.grantee
    FROM ours o, aclexplode(o.nspacl) a WHERE a.privilege_type = 'CREATE')
  SELECT h.what, coalesce(r.rolname, 'public'), current_user
  FROM held h LEFT JOIN pg_roles r ON r.oid = h.role
  WHERE r.oid IS NULL OR NOT (
    pg_has_role(r.oid, current_user, 'MEMBER') OR
    NOT (SELECT me.rolsuper FROM pg_roles me WHERE me.rolname = current_user) AND (
      r.oid = (SELECT d.datdba FROM pg_database d WHERE d.datname = current_database()) OR
      r.oid IN (SELECT b.pubowner FROM pg_publication b WHERE b.pubname = {})))
  LIMIT 1)";

}  // namespace

void require_trusted_sql(PGconn* connection, const std::string& publication) {
  const PgResult other =
      exec(connection, fmt::format(fmt::runtime(kOthersIn), quote_literal(publication)));
  if (PQntuples(other.get()) == 0) return;
  throw NeedsPerson(
      fmt::format("{} role \"{}\": what is in it would be run with the rights of role \"{}\"",
                  PQgetvalue(other.get(), 0, 0), PQgetvalue(other.get(), 0, 1),
                  PQgetvalue(other.get(), 0, 2)),
      "look what is in schema deltaflood, and drop it if nobody here has made it; else connect as "
      "that role, or as one that is no superuser");
}

}  // namespace daystream::program
