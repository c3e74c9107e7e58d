#include "database.h"

#include "support/temp_dir.h"

namespace managed_test {

namespace {

Lines first_column(const support::Rows& rows) {
  Lines out;
  for (const support::Row& row : rows) out.push_back(row[0].value_or("NULL"));
  return out;
}

}  // namespace

const support::Cluster& cluster() {
  static const support::Cluster shared;
  return shared;
}

std::string managed_sql() {
  return support::read_file(SUPPORT_SQL_DIR "/deltaflood_managed.sql");
}

Database::Database(bool install) {
  static int number = 0;
  name_ = "managed_" + std::to_string(++number);
  cluster().create_database(name_);
  execute("CREATE PUBLICATION flood FOR ALL TABLES");
  if (!install) return;
  execute(managed_sql());
  execute("SELECT deltaflood.install('flood')");
}

support::Session Database::session(const std::string& user) const {
  return support::Session(cluster().conninfo(name_, user));
}

Lines Database::written() {
  Lines lines = first_column(query(
      "SELECT concat_ws(' ', d.kind, (SELECT s.shape->>'table' FROM deltaflood.ddl s WHERE s.relid "
      "= d.relid AND s.kind = 'shape' AND s.id <= d.id ORDER BY s.id DESC LIMIT 1)) "
      "FROM deltaflood.ddl d WHERE d.id > " +
      last_ + " ORDER BY d.id"));
  last_ = scalar("SELECT coalesce(max(id), 0) FROM deltaflood.ddl");
  return lines;
}

Lines Database::untrue() const {
  return first_column(
      query("SELECT coalesce(s.relid, n.relid)::regclass::text FROM deltaflood.shapes() s FULL "
            "JOIN (SELECT * FROM (SELECT DISTINCT ON (relid) relid, kind, shape, hash FROM "
            "deltaflood.ddl WHERE kind IN ('shape', 'gone') ORDER BY relid, id DESC) x WHERE kind "
            "= 'shape') n ON n.relid = s.relid "
            "WHERE s.shape IS DISTINCT FROM n.shape OR s.hash IS DISTINCT FROM n.hash ORDER BY 1"));
}

std::string message_of(support::Session& session, const std::string& sql) {
  try {
    session.execute(sql);
  } catch (const daystream::program::SqlError& error) {
    return std::string(error.what()) + " / " + error.hint();
  }
  return "no error";
}

}  // namespace managed_test
