#include "seed/shadow.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cctype>
#include <string_view>
#include <utility>

#include "model/names.h"
#include "store/absent_table.h"
#include "store/shared_table.h"

namespace deltamirror {

namespace {

// No source's name has a slash.
std::string prefix_of(const std::string& source) {
  const std::string prefix = "_deltamirror_shadow_";
  return source.empty() ? prefix : prefix + source + "/";
}

// Walks the words of SQL as sqlite_schema keeps it: comments only where a user wrote them.
class Words {
 public:
  explicit Words(const std::string& sql) : sql_(sql) {}

  // A keyword, name or quoted name; its text without quotes.
  std::string next() {
    skip_space();
    if (at_ >= sql_.size()) return {};
    const char first = sql_[at_];
    const char close = first == '[' ? ']' : first;
    if (first == '"' || first == '`' || first == '\'' || first == '[') return quoted(close);
    const std::size_t begin = at_;
    while (at_ < sql_.size() && is_name(sql_[at_])) ++at_;
    return sql_.substr(begin, at_ - begin);
  }
  std::string rest() {
    skip_space();
    return sql_.substr(at_);
  }

 private:
  static bool is_name(char c) {
    return c == '_' || c == '$' || std::isalnum(static_cast<unsigned char>(c)) ||
           static_cast<unsigned char>(c) >= 0x80;
  }
  std::string quoted(char close) {
    std::string out;
    for (++at_; at_ < sql_.size(); ++at_) {
      if (sql_[at_] == close) {
        ++at_;
        // A quote within the name stands there twice.
        if (close == ']' || at_ >= sql_.size() || sql_[at_] != close) break;
      }
      out += sql_[at_];
    }
    return out;
  }
  void skip_space() {
    for (;;) {
      while (at_ < sql_.size() && std::isspace(static_cast<unsigned char>(sql_[at_]))) ++at_;
      if (sql_.compare(at_, 2, "--") == 0) {
        at_ = std::min(sql_.find('\n', at_), sql_.size());
      } else if (sql_.compare(at_, 2, "/*") == 0) {
        const std::size_t end = sql_.find("*/", at_ + 2);
        at_ = end == std::string::npos ? sql_.size() : end + 2;
      } else {
        return;
      }
    }
  }

  const std::string& sql_;
  std::size_t at_ = 0;
};

bool same_word(const std::string& a, const char* b) {
  return sqlite3_stricmp(a.c_str(), b) == 0;
}

// `CREATE [TEMP] TRIGGER …`; else it is an index.
bool is_trigger(const std::string& sql) {
  Words words(sql);
  if (!same_word(words.next(), "CREATE")) return false;
  const std::string word = words.next();
  return same_word(word, "TRIGGER") || same_word(words.next(), "TRIGGER");
}

std::vector<std::string> triggers_on(const Database& db, const std::string& table) {
  std::vector<std::string> out;
  for (auto& [name, sql] : objects_on(db, table, "trigger")) out.push_back(std::move(sql));
  return out;
}

}  // namespace

IndexSql parse_index_sql(const std::string& sql) {
  Words words(sql);
  IndexSql index;
  bool right = same_word(words.next(), "CREATE");
  std::string word = words.next();
  if (same_word(word, "UNIQUE")) {
    index.unique = true;
    word = words.next();
  }
  right = right && same_word(word, "INDEX");
  index.name = words.next();
  right = right && same_word(words.next(), "ON");
  words.next();  // the table
  index.rest = words.rest();
  if (!right || index.name.empty() || !index.rest.starts_with('(')) {
    throw daystream::Error(fmt::format("\"{}\" is no index as SQLite writes them", sql),
                           "drop that index, reseed, and make it again");
  }
  return index;
}

Shadow::Shadow(Database& db, const MirroredTable& table, IndexColumns before)
    : db_(db), name_(table.name), table_(table), before_(std::move(before)) {
  table_.name = prefix_of(table.source) + table.name;
  db_.exec(create_table_sql(table_, table_.name));
  if (table.is_shared()) return;  // the indexes are those of the table itself
  for (const std::string& sql : create_index_sql(table)) add_index(sql);
  if (has_table(db_, name_)) {
    MirroredTable there = table;
    there.indexes = before_;
    for (const auto& [name, sql] : others_objects(db_, there, "index")) add_index(sql);
    triggers_ = triggers_on(db_, name_);
    return;
  }
  for (const std::string& sql : table.standing.set_aside) {
    if (is_trigger(sql)) {
      triggers_.push_back(sql);
    } else {
      add_index(sql);
    }
  }
}

// What stands on the table that is there goes with it.
std::string Shadow::free_index_name(const std::string& wanted) const {
  Statement elsewhere = db_.prepare(
      "SELECT 1 FROM sqlite_schema WHERE name = ? COLLATE NOCASE AND "
      "NOT (type = 'index' AND tbl_name = ? COLLATE NOCASE)");
  const auto is_taken = [&](const std::string& name) {
    elsewhere.reset();
    elsewhere.bind(1, name);
    elsewhere.bind(2, name_);
    return elsewhere.step() || std::any_of(indexes_.begin(), indexes_.end(), [&](const Index& i) {
             return folded(i.name) == folded(name);
           });
  };
  std::string name = wanted;
  for (int number = 2; is_taken(name); ++number) name = fmt::format("{}_{}", wanted, number);
  return name;
}

void Shadow::add_index(const std::string& sql) {
  const IndexSql parsed = parse_index_sql(sql);
  Index index;
  index.name = free_index_name(parsed.name);
  index.meanwhile = fmt::format("{}_{}", table_.name, indexes_.size());
  const auto create = [&](const std::string& name, const std::string& on) {
    return fmt::format("CREATE {}INDEX {} ON {}{}", parsed.unique ? "UNIQUE " : "",
                       quote_name(name), quote_name(on), parsed.rest);
  };
  index.sql = create(index.name, name_);
  try {
    db_.exec_one(create(index.meanwhile, table_.name));
  } catch (const SqliteError& e) {
    if (!e.is_of_schema()) throw;
    spdlog::warn("table {}: left out \"{}\", whose column is gone", name_, sql);
    left_out_.push_back(sql);
    return;
  }
  indexes_.push_back(std::move(index));
}

// SQLite cannot rename an index, and to build it again here would hold everybody up: its entry in
// the schema is changed, as ALTER TABLE itself does. The DROP and the RENAME beside it make other
// connections read the schema again.
void Shadow::put_in_place() {
  if (table_.is_shared()) return put_rows_in_place();
  if (has_table(db_, name_)) triggers_ = triggers_on(db_, name_);
  db_.exec("DROP TABLE IF EXISTS " + quote_name(name_));
  rename_table(db_, table_.name, name_);
  if (!indexes_.empty()) {
    const SchemaWrites writes(db_);
    {
      Statement rename = db_.prepare(
          "UPDATE sqlite_schema SET name = ?, sql = ? WHERE type = 'index' AND name = ?");
      for (const Index& index : indexes_) {
        rename.bind(1, index.name);
        rename.bind(2, index.sql);
        rename.bind(3, index.meanwhile);
        rename.run();
      }
    }
    db_.exec("PRAGMA writable_schema = RESET");  // and read the schema again
  }
  for (const std::string& sql : triggers_) {
    try {
      db_.exec_one(sql);
    } catch (const SqliteError& e) {
      if (!e.is_of_schema()) throw;
      spdlog::warn("table {}: left out trigger \"{}\": {}", name_, sql, e.what());
      left_out_.push_back(sql);
    }
  }
  MirroredTable there = table_;
  there.name = name_;
  for (std::string& sql : take_out_broken_triggers(db_, there)) {
    spdlog::warn("table {}: left out trigger \"{}\", which no longer compiles", name_, sql);
    left_out_.push_back(std::move(sql));
  }
}

void Shadow::put_rows_in_place() {
  MirroredTable there = table_;
  there.name = name_;
  make_shared(db_, there, make_room(db_, there, sharing(load_tables(db_), there)));
  const std::string columns = column_list(there);
  db_.exec(
      fmt::format("DELETE FROM {0}{1}; INSERT INTO {0}({2}) SELECT {2} FROM {3}; DROP TABLE {3}",
                  quote_name(name_), where_own(there), columns, quote_name(table_.name)));
  const std::vector<MirroredTable> all = load_tables(db_);
  settle_indexes(db_, there, before_, sharing(all, there));
  std::vector<MirroredTable> having = wished_beside(all, there);
  having.insert(having.begin(), there);
  if (const std::string stay = drop_unused_columns(db_, having, before_); !stay.empty()) {
    spdlog::warn("table {}: {}", name_, stay);
  }
  // What went with the last source's rows, unless somebody has made it since.
  for (const std::string& sql : table_.standing.set_aside) {
    try {
      db_.exec_one(sql);
    } catch (const SqliteError& e) {
      if (!e.is_of_schema()) throw;
      if (std::string_view(e.what()).find("already exists") != std::string_view::npos) continue;
      spdlog::warn("table {}: left out \"{}\": {}", name_, sql, e.what());
      left_out_.push_back(sql);
    }
  }
}

std::vector<std::string> Shadow::drop_left_over(Database& db, const std::string& source) {
  const std::string prefix = prefix_of(source);
  std::vector<std::string> names;
  {
    Statement select = db.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, ?) = ?");
    select.bind(1, static_cast<std::int64_t>(prefix.size()));
    select.bind(2, prefix);
    while (select.step()) names.push_back(select.text(0));
  }
  for (std::string& name : names) {
    db.exec("DROP TABLE " + quote_name(name));
    name.erase(0, prefix.size());
  }
  return names;
}

}  // namespace deltamirror
