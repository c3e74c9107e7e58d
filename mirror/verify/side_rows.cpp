#include "verify/side_rows.h"
#include "model/joined.h"

#include <fmt/format.h>

#include <algorithm>

namespace deltamirror {

namespace {

void bind_all(Statement& statement, const std::vector<Value>& values) {
  int index = 1;
  for (const Value& value : values) value.copy_to(statement, index++);
}

// Of several sources' tables with one OID each has its own.
std::string own_suffix(const MirroredTable& table) {
  std::string out = std::to_string(table.shape.oid);
  for (const unsigned char c : table.source) out += fmt::format("_{:02x}", c);
  return out;
}

}  // namespace

SideRows::SideRows(Database& db, const MirroredTable& table)
    : db_(db), table_(table), rows_(table), keys_name_("_deltamirror_keys_" + own_suffix(table)) {
  rows_.name = "_deltamirror_rows_" + own_suffix(table);
  std::string create = create_table_sql(rows_, rows_.name);
  create.insert(create.find(' '), " TEMP");
  db.exec(create);
  db.exec(create_keys_sql(table_, keys_name_));
  const std::string equal = key_equal(table_);
  plan_ = std::make_unique<TablePlan>(db, rows_, TablePlan::Strictness::Lenient);
  add_key_ = db.prepare(
      fmt::format("INSERT INTO {} VALUES({})", keys_name_, question_marks(table_.key().size())));
  has_key_ = db.prepare(fmt::format("SELECT 1 FROM {} WHERE {}", keys_name_, equal));
  add_row_ = db.prepare(
      fmt::format("INSERT INTO {} VALUES({})", rows_.name, question_marks(table_.columns.size())));
  fetch_ = db.prepare(fmt::format("INSERT INTO {} SELECT {} FROM main.{} WHERE {}", rows_.name,
                                  column_list(table_), quote_name(table_.name), equal));
}

SideRows::~SideRows() {
  plan_.reset();
  for (Statement* statement : {&add_key_, &has_key_, &add_row_, &fetch_}) *statement = {};
  // Should it fail they go with the connection.
  const std::string sql = fmt::format("DROP TABLE IF EXISTS temp.{}; DROP TABLE IF EXISTS temp.{}",
                                      keys_name_, rows_.name);
  sqlite3_exec(db_.raw(), sql.c_str(), nullptr, nullptr, nullptr);
}

void SideRows::add_key(const std::vector<Value>& key) {
  bind_all(add_key_, key);
  add_key_.run();
}

bool SideRows::has_key(const std::vector<Value>& key) {
  bind_all(has_key_, key);
  const bool has = has_key_.step();
  has_key_.reset();
  return has;
}

void SideRows::add_row(const std::vector<Value>& row) {
  bind_all(add_row_, row);
  add_row_.run();
}

bool SideRows::add_row_of_mirror(const std::vector<Value>& key) {
  bind_all(fetch_, key);
  fetch_.run();
  return db_.changes() != 0;
}

// Both statements go through our keys, never through the mirror's whole table.
std::uint64_t SideRows::write_to_mirror() {
  const std::string name = quote_name(table_.name);
  // By its key, so that the key's index finds it; then as one comparison of rows, as a chain of a
  // thousand ANDs is too deep for SQLite.
  const auto row_of = [&](const std::string& in) {
    return joined(table_.columns, ", ",
                  [&](const MirrorColumn& column) { return in + quote_name(column.name); });
  };
  const std::string same_row =
      fmt::format("{} AND ({}) IS ({})", key_equal(table_, "m", "r"), row_of("m."), row_of("r."));
  db_.exec(
      fmt::format("DELETE FROM main.{0} WHERE ({1}) IN (SELECT {1} FROM temp.{2} k WHERE "
                  "NOT EXISTS (SELECT 1 FROM temp.{3} r WHERE {4}))",
                  name, key_list(table_), keys_name_, rows_.name, key_equal(table_, "r", "k")));
  auto written = static_cast<std::uint64_t>(db_.changes());
  db_.exec(fmt::format(
      "INSERT OR REPLACE INTO main.{0}({3}) SELECT {3} FROM temp.{1} r WHERE NOT EXISTS "
      "(SELECT 1 FROM main.{0} m WHERE {2})",
      name, rows_.name, same_row, column_list(table_)));
  written += static_cast<std::uint64_t>(db_.changes());
  return written;
}

}  // namespace deltamirror
