// The same log through core's test_decoding gives the same rows.
#include <catch2/catch.hpp>
#include <random>
#include <sstream>

#include "decoding.h"

using namespace plugin_test;

namespace {

// "table verb count" of each change, in order, from either plugin. test_decoding's lines are
// "table public.t: UPDATE: old-key: a[integer]:1 new-tuple: a[integer]:2 b[text]:'x'".
Lines of_test_decoding(const Lines& lines) {
  Lines changes;
  for (const std::string& line : lines) {
    if (line.rfind("table ", 0) != 0) continue;
    const auto colon = line.find(": ");
    const auto second = line.find(':', colon + 2);
    std::string verb = line.substr(colon + 2, second - colon - 2);
    for (char& c : verb) c = static_cast<char>(std::tolower(c));
    std::string key;
    // All columns of these tests are integers, so that values end at a space.
    std::istringstream words(line.substr(second + 1));
    bool old = verb == "delete";
    for (std::string word; words >> word;) {
      if (word == "old-key:") old = true;
      if (word == "new-tuple:") old = false;
      const auto bracket = word.find("]:");
      if (bracket == std::string::npos) continue;
      const std::string value = word.substr(bracket + 2);
      key += std::string(old ? " old." : " ") + word.substr(0, word.find('[')) + "=" + value;
    }
    changes.push_back(line.substr(13, colon - 13) + " " + verb + key);
  }
  return changes;
}

Lines of_deltaflood(const Lines& lines) {
  Lines changes;
  std::string replaced;
  for (const std::string& line : lines) {
    const Fields fields(line);
    const bool old = fields.action == "delete" || fields.action == "replace";
    std::string columns;
    for (const auto& [name, value] : fields.columns) {
      columns += std::string(old ? " old." : " ") + name + "=" + (value == "\\N" ? "null" : value);
    }
    if (fields.action == "replace") {
      replaced = columns;
      continue;
    }
    changes.push_back(fields.head("_table").value() + " " + fields.action + replaced + columns);
    replaced.clear();
  }
  return changes;
}

}  // namespace

TEST_CASE("differential: random changes are those test_decoding sees", "[plugin][differential]") {
  const Source source;
  const std::string other = source.add_slot("test_decoding");
  source.execute(
      "CREATE TABLE d (k int PRIMARY KEY, a int NOT NULL, b int NOT NULL);"
      "CREATE TABLE f (k int, a int NOT NULL, b int NOT NULL);"
      "ALTER TABLE f REPLICA IDENTITY FULL;"
      "CREATE TABLE i (k int NOT NULL UNIQUE, a int NOT NULL, b int NOT NULL);"
      "ALTER TABLE i REPLICA IDENTITY USING INDEX i_k_key;"
      "CREATE TABLE c (k int REFERENCES d ON DELETE CASCADE ON UPDATE CASCADE);"
      "CREATE INDEX ON c (k); ALTER TABLE c REPLICA IDENTITY FULL");
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const auto number = [&](unsigned below) { return std::to_string(random() % below); };
  static const std::vector<std::string> tables = {"d", "f", "i"};
  for (int round = 0; round < 150; ++round) {
    std::string sql = "BEGIN;";
    for (auto i = 1 + random() % 5; i > 0; --i) {
      const std::string& table = tables[random() % tables.size()];
      const std::string on_conflict =
          table == "f" ? "" : " ON CONFLICT (k) DO UPDATE SET a = excluded.a + 1";
      switch (random() % 8) {
        case 0:
        case 1:
          sql += "INSERT INTO " + table + " VALUES (" + number(40) + "," + number(9) + ",1)" +
                 on_conflict + ";";
          break;
        case 2:
          sql += "UPDATE " + table + " SET a = a + 1 WHERE k % 5 = " + number(5) + ";";
          break;
        case 3:
          sql += "UPDATE " + table + " SET k = k + 1000 + " + number(100000) +
                 " WHERE k = (SELECT max(k) FROM " + table + ");";
          break;
        case 4:
          sql += "DELETE FROM " + table + " WHERE k % 7 = " + number(7) + ";";
          break;
        case 5:
          sql += "SAVEPOINT s; INSERT INTO f VALUES (1,2,3); ROLLBACK TO s;";
          break;
        case 6:
          sql += "INSERT INTO c SELECT k FROM d LIMIT 3;";
          break;
        default:
          sql += "MERGE INTO d USING (VALUES (" + number(40) +
                 ", 5)) v (k, a) ON d.k = v.k "
                 "WHEN MATCHED AND d.a > 8 THEN DELETE WHEN MATCHED THEN UPDATE SET a = v.a "
                 "WHEN NOT MATCHED THEN INSERT VALUES (v.k, v.a, 0);";
      }
    }
    source.execute(sql + (random() % 6 == 0 ? "ROLLBACK" : "COMMIT"));
  }
  const Lines expected = of_test_decoding(source.peek(other, {{"skip-empty-xacts", "on"}}));
  const Lines found = of_deltaflood(source.peek());
  REQUIRE(expected.size() > 200);
  CHECK(found == expected);
  CHECK(of_deltaflood(source.receive({{"batch-bytes", "512"}})) == expected);
}
