#include "schema_lines.h"

#include "pgoutput/shape.h"

namespace managed_test {

std::map<std::string, std::string> plugin_lines(const Database& db, const std::string& options) {
  std::map<std::string, std::string> out;
  for (const support::Row& row :
       db.query("SELECT data FROM pg_logical_slot_peek_changes('" + db.name() +
                "', NULL, NULL, 'exclude-tables', 'deltaflood.*', 'include-schema', 'on'" +
                options + ")")) {
    const std::string& line = row[0].value();
    if (line.find("\t_action\tschema") == std::string::npos) continue;
    const auto oid = line.find("\t_oid\t") + 6;
    out[line.substr(oid, line.find('\t', oid) - oid)] = line.substr(oid - 6);
  }
  return out;
}

std::string line_of(const Database& db, const std::string& oid) {
  const std::string shape =
      db.scalar("SELECT shape FROM deltaflood.ddl WHERE kind = 'shape' AND relid = " + oid +
                " ORDER BY id DESC LIMIT 1");
  const auto parsed = deltastream::pgoutput::parse_shape(
      static_cast<std::uint32_t>(std::stoul(oid)), shape, "flood");
  // As if pgoutput sent generated columns, which the plugin has.
  deltastream::pgoutput::Relation sent;
  for (const auto& column : parsed.columns) sent.columns.push_back({column.name, 0, 0, false});
  return deltastream::pgoutput::schema_fields(parsed, &sent);
}

}  // namespace managed_test
