#include "seed/partition_bounds.h"

#include <cstdlib>

#include "filter/row_filter.h"
#include "program/postgres.h"

namespace deltamirror {

using daystream::program::exec_params;
using daystream::program::PgResult;

namespace {

// Replaces what begins at `at` outside of quotes; else nothing.
bool replace_at(std::string& text, std::size_t at, std::string_view from, std::string_view to) {
  if (text.compare(at, from.size(), from) != 0) return false;
  text.replace(at, from.size(), to);
  return true;
}

}  // namespace

std::string as_where(const std::string& constraint) {
  std::string out = constraint;
  char quote = 0;
  for (std::size_t at = 0; at < out.size(); ++at) {
    if (quote != 0 || out[at] == '\'' || out[at] == '"') {
      // A quote that is doubled ends here and begins again.
      if (quote == 0 || out[at] == quote) quote = quote == 0 ? out[at] : char{0};
      continue;
    }
    if (out.compare(at, 2, "::") == 0) {
      // A `where` has moments in UTC, as the session does, and does not say so.
      const bool moment = out.compare(at, 26, "::timestamp with time zone") == 0;
      out.erase(at, out.find_first_of(",)]", at) - at);
      if (moment && at > 4 && out.compare(at - 4, 4, "+00'") == 0) out.erase((at -= 3) - 1, 3);
      --at;
    } else {
      replace_at(out, at, "= ANY (ARRAY[", "IN (") || replace_at(out, at, "])", ")");
    }
  }
  return out;
}

std::map<std::uint32_t, std::string> read_partition_bounds(PGconn* connection,
                                                           const SourceRelation& root,
                                                           const Shape& shape,
                                                           const TypeNames& types) {
  // Of the tables above a partition each must order and compare as the types themselves do.
  const PgResult result = exec_params(connection, R"(
    SELECT part.relid::oid, pg_catalog.pg_get_partition_constraintdef(part.relid)
    FROM pg_catalog.pg_partition_tree($1::oid) part
    WHERE part.level > 0 AND NOT EXISTS (
      SELECT 1 FROM pg_catalog.pg_partition_ancestors(part.relid) above
      JOIN pg_catalog.pg_class c ON c.oid = above.relid
      LEFT JOIN pg_catalog.pg_partitioned_table key ON key.partrelid = c.oid
      WHERE pg_catalog.pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT' OR
            EXISTS (SELECT 1 FROM pg_catalog.pg_opclass o
                    WHERE o.oid = ANY (key.partclass::oid[]) AND NOT o.opcdefault) OR
            EXISTS (SELECT 1 FROM pg_catalog.pg_collation o
                    WHERE o.oid = ANY (key.partcollation::oid[]) AND NOT o.collisdeterministic)))",
                                      {std::to_string(root.oid)});
  std::map<std::uint32_t, std::string> bounds;
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    try {
      const RowFilter filter(as_where(PQgetvalue(result.get(), row, 1)), shape, types);
      if (filter.needs_utf8()) continue;  // texts have an order of their own there
      const auto oid = std::strtoul(PQgetvalue(result.get(), row, 0), nullptr, 10);
      bounds.emplace(static_cast<std::uint32_t>(oid), filter.text(shape));
    } catch (const daystream::ConfigError&) {
      // Its rows are copied should it go.
    }
  }
  return bounds;
}

}  // namespace deltamirror
