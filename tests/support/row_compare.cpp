#include "support/row_compare.h"

#include <algorithm>
#include <cstdlib>
#include <map>

#include "support/sqlite_reader.h"

namespace support {

namespace pg = daystream::program;

namespace {

constexpr std::size_t kMostDifferences = 10;

struct Column {
  std::string name, type;
  bool key = false;
  bool number = false;  // a numeric that the mirror has as a number
};

std::vector<Column> columns_of(Session& postgres, const std::string& table) {
  std::vector<Column> out;
  for (const Row& row : postgres.query(
           "SELECT a.attname, format_type(a.atttypid, NULL), EXISTS (SELECT FROM pg_index i "
           "WHERE i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY (i.indkey)), "
           // A numeric of at most 15 digits, some of them behind the point, or of at most 18.
           "a.atttypid = 'numeric'::regtype AND a.atttypmod >= 0 AND "
           "CASE WHEN ((a.atttypmod - 4) & 2047) BETWEEN 1 AND 100 "
           "THEN ((a.atttypmod - 4) >> 16) <= 15 "
           "ELSE ((a.atttypmod - 4) & 2047) = 0 AND ((a.atttypmod - 4) >> 16) <= 18 END "
           "FROM pg_attribute a WHERE a.attrelid = " +
           pg::quote_literal(table) +
           "::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum")) {
    out.push_back({*row[0], *row[1], *row[2] == "t", *row[3] == "t"});
  }
  return out;
}

bool is_float(const std::string& type) {
  return type == "double precision" || type == "real";
}

// The expression whose text is what the mirror should hold.
std::string expression(const Column& column) {
  const std::string name = pg::quote_identifier(column.name);
  if (column.type == "boolean") return name + "::int::text";
  if (column.type == "timestamp with time zone") {
    return "replace((" + name + " AT TIME ZONE 'UTC')::text, 'T', ' ')";
  }
  // Not ::text, which for some types is another text than the output function's.
  return "CASE WHEN " + name + " IS DISTINCT FROM NULL THEN format('%s', " + name + ") END";
}

std::string sqlite_quoted(const std::string& name) {
  std::string out = "\"";
  for (const char c : name) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

bool same(const Column& column, const std::optional<std::string>& a,
          const std::optional<std::string>& b) {
  if (a == b) return true;
  if (!a || !b || !(is_float(column.type) || column.number)) return false;
  const double x = std::strtod(a->c_str(), nullptr), y = std::strtod(b->c_str(), nullptr);
  return column.type == "real" ? static_cast<float>(x) == static_cast<float>(y) : x == y;
}

std::string shown(const std::optional<std::string>& value) {
  if (!value) return "NULL";
  if (value->size() <= 60) return '"' + *value + '"';
  return '"' + value->substr(0, 60) + "\"… (" + std::to_string(value->size()) + " bytes)";
}

using Keyed = std::multimap<std::string, Row>;

// The key (of a keyless table: the row) as one text, by whose bytes rows are ordered.
std::string key_of(const std::vector<Column>& columns, const Row& row) {
  const bool keyless =
      std::none_of(columns.begin(), columns.end(), [](const Column& c) { return c.key; });
  std::string out;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (!keyless && !columns[i].key) continue;
    if (!out.empty()) out += ", ";
    out += row[i] ? *row[i] : "NULL";
  }
  return out;
}

void compare_one(Session& postgres, SqliteReader& mirror, const ComparedTable& table,
                 std::vector<std::string>& out) {
  const std::vector<Column> columns = columns_of(postgres, table.postgres);
  std::string wanted, names;
  for (const Column& column : columns) {
    wanted += (wanted.empty() ? "" : ", ") + expression(column);
    names += (names.empty() ? "" : ", ") + sqlite_quoted(column.name);
  }
  const std::string copy =
      table.sqlite.empty() ? table.postgres.substr(table.postgres.rfind('.') + 1) : table.sqlite;
  Keyed left, right;
  for (Row& row :
       postgres.query("SELECT " + wanted + " FROM " +
                      (table.query.empty() ? table.postgres : "(" + table.query + ") AS wanted"))) {
    left.emplace(key_of(columns, row), std::move(row));
  }
  for (Row& row : mirror.query("SELECT " + names + " FROM " + sqlite_quoted(copy))) {
    right.emplace(key_of(columns, row), std::move(row));
  }
  const auto say = [&](const std::string& what) {
    if (out.size() < kMostDifferences) out.push_back(table.postgres + ": " + what);
  };
  auto a = left.begin();
  auto b = right.begin();
  while (a != left.end() || b != right.end()) {
    if (b == right.end() || (a != left.end() && a->first < b->first)) {
      say("row (" + a->first + ") is missing in the mirror");
      ++a;
    } else if (a == left.end() || b->first < a->first) {
      say("row (" + b->first + ") is in the mirror alone");
      ++b;
    } else {
      for (std::size_t i = 0; i < columns.size(); ++i) {
        if (same(columns[i], a->second[i], b->second[i])) continue;
        say("row (" + a->first + ") column \"" + columns[i].name + "\": PostgreSQL " +
            shown(a->second[i]) + ", mirror " + shown(b->second[i]));
      }
      ++a;
      ++b;
    }
  }
}

}  // namespace

std::vector<std::string> compare_tables(Session& postgres, const std::filesystem::path& mirror,
                                        const std::vector<ComparedTable>& tables) {
  postgres.execute(
      "BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL TimeZone TO 'UTC'; "
      "SET LOCAL DateStyle TO 'ISO'; SET LOCAL bytea_output TO 'hex'; "
      "SET LOCAL IntervalStyle TO 'postgres'; SET LOCAL extra_float_digits TO 3");
  SqliteReader reader(mirror);
  reader.execute("BEGIN");
  std::vector<std::string> out;
  for (const ComparedTable& table : tables) compare_one(postgres, reader, table, out);
  postgres.execute("COMMIT");
  return out;
}

std::string integrity_check(const std::filesystem::path& mirror) {
  SqliteReader reader(mirror);
  std::string out;
  for (const Row& row : reader.query("PRAGMA integrity_check")) {
    out += (out.empty() ? "" : "\n") + row[0].value_or("NULL");
  }
  return out;
}

}  // namespace support
