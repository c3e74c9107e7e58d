#include "store/replace_table.h"

namespace deltamirror {

std::vector<std::string> replace_table(Database& db, const std::string& name,
                                       const std::string& fresh) {
  std::vector<std::string> beside;
  {
    Statement select = db.prepare(
        "SELECT sql FROM sqlite_schema WHERE tbl_name = ? COLLATE NOCASE AND "
        "type IN ('index', 'trigger') AND sql IS NOT NULL");
    select.bind(1, name);
    while (select.step()) beside.push_back(select.text(0));
  }
  db.exec("DROP TABLE " + quote_name(name));
  rename_table(db, fresh, name);
  std::vector<std::string> left_out;
  for (std::string& sql : beside) {
    try {
      db.exec_one(sql);
    } catch (const SqliteError& e) {
      if ((e.code() & 0xff) != SQLITE_ERROR) throw;
      left_out.push_back(std::move(sql));
    }
  }
  return left_out;
}

}  // namespace deltamirror
