#include "store/replace_table.h"

namespace deltamirror {

std::vector<std::string> replace_table(Database& db, const std::string& name,
                                       const std::string& fresh) {
  std::vector<SchemaObject> beside = objects_on(db, name);
  db.exec("DROP TABLE " + quote_name(name));
  rename_table(db, fresh, name);
  std::vector<std::string> left_out;
  for (SchemaObject& object : beside) {
    try {
      db.exec_one(object.sql);
    } catch (const SqliteError& e) {
      if (!e.is_of_schema()) throw;
      left_out.push_back(std::move(object.sql));
    }
  }
  return left_out;
}

}  // namespace deltamirror
