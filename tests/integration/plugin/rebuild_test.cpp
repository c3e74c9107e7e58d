// Tables rebuilt from the lines alone equal PostgreSQL's, after random DDL and DML.
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <set>
#include <sstream>

#include "decoding.h"
#include "support/wait.h"
#include "walsender.h"

using namespace plugin_test;

namespace {

// What a reader knows that knows only the lines. Values stay raw; NULL is absent.
class Replica {
 public:
  void apply(const std::string& line) {
    const Fields fields(line);
    CAPTURE(line);
    if (fields.action == "schema") {
      learn(fields);
    } else if (fields.action == "drop") {
      const auto oid = fields.head("_oid").value();
      REQUIRE(tables_.erase(oid) == 1);
    } else if (fields.action == "truncate" || fields.action == "rewrite") {
      named(fields).rows.clear();
    } else {
      change(named(fields), fields);
    }
  }

  // "name: column=value,…" of each row, sorted.
  std::multiset<std::string> contents() const {
    std::multiset<std::string> all;
    for (const auto& [oid, table] : tables_) {
      for (const auto& row : table.rows) {
        std::string text = table.name + ":";
        for (const auto& [number, name] : table.columns) {
          const auto value = row.find(number);
          text += " " + name + "=" + (value == row.end() ? "NULL" : value->second);
        }
        all.insert(text);
      }
    }
    return all;
  }

 private:
  using Stored = std::map<int, std::string>;  // by attribute number: names change
  struct Table {
    std::string name;
    std::map<int, std::string> columns;
    std::vector<Stored> rows;
    std::optional<Stored> replaced;
    std::set<int> key;
  };

  void learn(const Fields& fields) {
    Table& table = tables_[fields.head("_oid").value()];
    table.name = fields.head("_table").value();
    std::map<int, std::string> columns;
    for (const auto& [name, shape] : fields.columns) columns[std::stoi(shape)] = name;
    for (const auto& [number, name] : columns) {
      if (table.columns.count(number) != 0) continue;
      const auto missing = fields.head("_missing_" + std::to_string(number));
      if (!missing) continue;
      for (Stored& row : table.rows) row[number] = *missing;
    }
    for (Stored& row : table.rows) {
      std::erase_if(row, [&](const auto& value) { return columns.count(value.first) == 0; });
    }
    table.columns = columns;
    table.key.clear();
    const std::string key = fields.head("_ikey").value();
    for (std::size_t at = 0; at < key.size(); at = std::min(key.find(',', at), key.size()) + 1) {
      table.key.insert(std::stoi(key.substr(at)));
    }
  }

  Table& named(const Fields& fields) {
    for (auto& [oid, table] : tables_) {
      if (table.name == fields.head("_table")) return table;
    }
    FAIL("no such table");
    throw 0;
  }

  static Stored row_of(const Table& table, const Fields& fields) {
    Stored row;
    for (const auto& [name, value] : fields.columns) {
      const auto column =
          std::find_if(table.columns.begin(), table.columns.end(),
                       [&named = name](const auto& c) { return c.second == named; });
      REQUIRE(column != table.columns.end());
      row[column->first] = value;
    }
    return row;
  }

  // The one row that has the values of `key`; of equal ones under FULL, one.
  static std::vector<Stored>::iterator find(Table& table, const Stored& key, bool key_only) {
    auto found = std::find_if(table.rows.begin(), table.rows.end(), [&](const Stored& row) {
      for (const auto& [number, value] : key) {
        if (key_only && table.key.count(number) == 0) continue;
        const auto has = row.find(number);
        if ((has == row.end() ? "\\N" : has->second) != value) return false;
      }
      return true;
    });
    REQUIRE(found != table.rows.end());
    return found;
  }

  static void change(Table& table, const Fields& fields) {
    const Stored row = row_of(table, fields);
    if (fields.action == "insert") {
      table.rows.push_back(row);
    } else if (fields.action == "delete") {
      table.rows.erase(find(table, row, false));
    } else if (fields.action == "replace") {
      table.replaced = row;
    } else {
      REQUIRE(fields.action == "update");
      const auto at = table.replaced ? find(table, *table.replaced, false) : find(table, row, true);
      table.replaced.reset();
      for (const auto& [number, value] : row) {
        if (value == "\\N") {
          at->erase(number);
        } else {
          (*at)[number] = value;
        }
      }
    }
  }

  std::map<std::string, Table> tables_;  // by OID
};

std::multiset<std::string> contents_of(support::Session& session) {
  std::multiset<std::string> all;
  const auto tables = session.query(
      "SELECT c.oid::regclass::text, string_agg(format('%L || coalesce(%s, ''NULL'')', ' ' || "
      "quote_ident(a.attname) || '=', CASE WHEN a.atttypid = 'bool'::regtype THEN "
      "format('%I::int::text', "
      "a.attname) ELSE format('%I::text', a.attname) END), ' || ' ORDER BY a.attnum) "
      "FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT "
      "a.attisdropped "
      "WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND relnamespace = 'public'::regnamespace "
      "GROUP BY c.oid");
  for (const auto& table : tables) {
    const std::string name = table[0].value();
    for (const auto& row : session.query("SELECT " + table[1].value() + " FROM " + name)) {
      all.insert(name + ":" + row[0].value());
    }
  }
  return all;
}

// Takes in what comes up to the mark, a message of ours.
void follow(Walsender& walsender, Replica& replica) {
  for (bool marked = false; !marked;) {
    std::istringstream lines(walsender.next(support::kPatience).value());
    for (std::string line; std::getline(lines, line);) {
      marked = Fields(line).action == "message";
      if (!marked) replica.apply(line);
    }
  }
}

}  // namespace

// By a reader that stays connected, compared after each transaction; and once more all of it from
// the start, over the SQL functions.
TEST_CASE("rebuild: a reader of the lines alone has PostgreSQL's tables", "[plugin][rebuild]") {
  const Source source;
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const auto number = [&](unsigned below) { return std::to_string(random() % below); };
  const auto table = [&] { return "t" + number(4); };
  const auto column = [&] { return "c" + number(6); };
  static const std::vector<std::string> types = {"int DEFAULT 5",
                                                 "text DEFAULT 'd'",
                                                 "bigint",
                                                 "text",
                                                 "bool DEFAULT true",
                                                 "timestamptz DEFAULT '2026-11-21 10:00+00'",
                                                 "int DEFAULT (random() * 100)::int",
                                                 "numeric(8,2) DEFAULT 1.50"};
  const auto statement = [&]() -> std::string {
    const std::string t = table();
    switch (random() % 20) {
      case 0:
        return "CREATE TABLE " + t + " (k int PRIMARY KEY, c0 int, c1 text)";
      case 1:
        return random() % 3 == 0 ? "DROP TABLE " + t : "TRUNCATE " + t;
      case 2:
      case 3:
        return "ALTER TABLE " + t + " ADD COLUMN " + column() + " " +
               types[random() % types.size()];
      case 4:
        return "ALTER TABLE " + t + " DROP COLUMN " + column();
      case 5:
        return "ALTER TABLE " + t + " RENAME COLUMN " + column() + " TO " + column();
      case 6:
        return "ALTER TABLE " + t + " RENAME TO " + table();
      case 7:
        return "ALTER TABLE " + t + " ALTER COLUMN " + column() + " TYPE text";
      case 8:
        return "ALTER TABLE " + t + " REPLICA IDENTITY " + (random() % 2 == 0 ? "FULL" : "DEFAULT");
      case 9:
        return "ANALYZE " + t;
      case 10:
        return "UPDATE " + t + " SET k = k + 1000 + " + number(100000) +
               " WHERE k = (SELECT max(k) FROM " + t + ")";
      case 11:
        return "DELETE FROM " + t + " WHERE k % 3 = " + number(3);
      case 12:
      case 13:
        return "UPDATE " + t + " SET c0 = NULL WHERE k % 4 = " + number(4);
      case 14:
        return "UPDATE " + t + " SET c1 = repeat('x', 10) || k WHERE k % 4 = " + number(4);
      default:
        return "INSERT INTO " + t + " (k) SELECT g FROM generate_series(" + number(50) +
               ", 60) g "
               "ON CONFLICT DO NOTHING";
    }
  };
  auto session = source.session();
  session.execute("SET datestyle = ISO; SET timezone = 'UTC'");
  std::optional<Walsender> walsender;
  walsender.emplace(
      cluster(), source.database(), source.database(),
      Options{{"include-schema", "on"}, {"include-messages", "mark"}, {"batch-bytes", "8192"}});
  Replica followed;
  int not_empty = 0;
  for (int step = 0; step < 1000;) {
    // What does not fit (no such table or column) fails by itself, within a savepoint or alone.
    const bool transaction = random() % 3 == 0;
    if (transaction) session.execute("BEGIN");
    for (auto i = 1 + (transaction ? random() % 6 : 0); i > 0; --i, ++step) {
      if (transaction) session.execute("SAVEPOINT s");
      try {
        session.execute(statement());
        if (transaction) session.execute("RELEASE s");
      } catch (const daystream::program::SqlError&) {
        if (transaction) session.execute("ROLLBACK TO s");
      }
    }
    if (transaction) session.execute(random() % 8 == 0 ? "ROLLBACK" : "COMMIT");
    session.execute("SELECT pg_logical_emit_message(true, 'mark', '')");
    follow(*walsender, followed);
    const auto expected = contents_of(session);
    CAPTURE(step);
    REQUIRE(followed.contents() == expected);
    if (!expected.empty()) ++not_empty;
  }
  CHECK(not_empty > 200);
  walsender.reset();
  REQUIRE(support::eventually([&] {
    return source.scalar("SELECT active FROM pg_replication_slots WHERE slot_name = '" +
                         source.database() + "'") == "f";
  }));
  Replica replica;
  const Lines lines = source.peek({{"include-schema", "on"}, {"batch-bytes", "8192"}});
  for (const std::string& line : lines) replica.apply(line);
  CHECK(lines.size() > 500);
  CHECK(replica.contents() == contents_of(session));
}
