#include "seed/database_tables.h"

#include "program/postgres.h"

namespace deltamirror {

using daystream::program::PgResult;

std::vector<QualifiedName> all_tables(PGconn* connection) {
  const PgResult result = daystream::program::exec(connection, R"(
    SELECT n.nspname, c.relname
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname <> 'information_schema'
      AND n.nspname !~ '^pg_' AND n.nspname <> 'deltaflood'
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
                      WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
                        AND d.deptype = 'e')
    ORDER BY n.nspname <> 'public', 1, 2)");
  std::vector<QualifiedName> out;
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    out.push_back({PQgetvalue(result.get(), row, 0), PQgetvalue(result.get(), row, 1)});
  }
  return out;
}

std::string spelt(const QualifiedName& name) {
  const auto part = [](const std::string& text) {
    const bool plain = !text.empty() && text.find_first_not_of(
                                            "abcdefghijklmnopqrstuvwxyz"
                                            "0123456789_") == std::string::npos;
    return plain ? text : daystream::program::quote_identifier(text);
  };
  return name.schema == "public" ? part(name.table) : part(name.schema) + "." + part(name.table);
}

}  // namespace deltamirror
