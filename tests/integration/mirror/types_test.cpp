// Every built-in type of PostgreSQL, with its special values, by both ways into a mirror and back.
#include <catch2/catch.hpp>
#include <cmath>
#include <csignal>
#include <nlohmann/json.hpp>
#include <random>
#include <regex>

#include <fmt/format.h>

#include "pipeline.h"

using namespace support;

namespace {

struct Type {
  std::string name;                   // as SQL spells it
  std::vector<std::string> literals;  // SQL
};

// Literals that are worth it: extremes, other notations, what other programs have got wrong.
const std::vector<Type> kTypes = {
    {"aclitem", {"'postgres=r/postgres'"}},
    {"bit(5)", {"'10101'", "'00000'"}},
    {"boolean", {"true", "false"}},
    {"box", {"'(2,2),(1,1)'", "'(-0,1e300),(0,0)'"}},
    {"character(5)", {"'ab'", "''", "'a\\b'"}},
    {"bytea", {R"('\x00ff')", "''", R"('\x5c78')"}},
    {"\"char\"", {"'c'", "''", "'\\'"}},
    {"cid", {"'4294967295'"}},
    {"cidr", {"'10.0.0.0/8'", "'::/0'"}},
    {"circle", {"'<(1,2),3>'"}},
    {"date",
     {"'2026-11-21'", "'infinity'", "'-infinity'", "'4713-01-01 BC'", "'5874897-12-31'",
      "'0001-01-01'", "'0001-12-31 BC'", "'2000-02-29'", "'1900-02-28'"}},
    {"datemultirange", {"'{[2026-11-21,2026-11-22)}'"}},
    {"daterange", {"'[2026-11-21,)'", "'empty'"}},
    {"real", {"0.1", "'NaN'", "'-Infinity'", "'3.4028235e38'", "'1e-45'", "16777216", "'-0'"}},
    {"double precision",
     {"0.1", "'NaN'", "'Infinity'", "'-Infinity'", "1e-300", "'1.7976931348623157e308'", "'5e-324'",
      "9007199254740993", "'-0'", "1e15", "100000", "0.3"}},
    {"inet", {"'10.0.0.1/8'", "'::1'"}},
    {"smallint", {"-32768", "32767"}},
    {"int2vector", {"'1 2 3'"}},
    {"integer", {"-2147483648", "2147483647"}},
    {"int4multirange", {"'{[1,3),[5,7)}'"}},
    {"int4range", {"'[1,5)'"}},
    {"bigint", {"-9223372036854775808", "9223372036854775807"}},
    {"int8multirange", {"'{}'"}},
    {"int8range", {"'(,5)'"}},
    {"interval", {"'1 mon 2 days 03:04:05.6'", "'-1 year'", "'0'", "'-00:00:00.000001'"}},
    {"json", {R"(' {"a" : 1e5, "a": null} ')", "'1e5'", "'null'", "'\"\"'"}},
    {"jsonb", {R"('{"b": [1,  2], "a": "\\ü"}')", "'1e5'", "'null'"}},
    {"jsonpath", {"'$.a'"}},
    {"line", {"'{1,2,3}'"}},
    {"lseg", {"'[(1,2),(3,4)]'"}},
    {"macaddr", {"'08:00:2b:01:02:03'"}},
    {"macaddr8", {"'08:00:2b:01:02:03:04:05'"}},
    {"money", {"'-1234567.89'", "0"}},
    {"name", {"'nm'", "''"}},
    {"numeric",
     {"1.10", "0", "0.00", "'NaN'", "'Infinity'", "'-Infinity'", "-0.00000000000000000001",
      "123456789012345678901234567890.1234567890", "1e100", "10000", "-9999.9999", "0.0001",
      "100000000"}},
    {"numeric(10,2)", {"2.50", "-0.01", "99999999.99"}},
    {"nummultirange", {"'{[1.10,2.0)}'"}},
    {"numrange", {"'[1.10,]'"}},
    {"oid", {"4294967295", "0"}},
    {"oidvector", {"'1 2'"}},
    {"path", {"'((1,2),(3,4))'", "'[(1,2)]'"}},
    {"pg_lsn", {"'FFFFFFFF/FFFFFFFF'"}},
    {"pg_snapshot", {"'10:20:10,14'"}},
    {"point", {"'(1.5,-0)'"}},
    {"polygon", {"'((1,2),(3,4))'"}},
    {"refcursor", {"'c'"}},
    {"regclass", {"'pg_class'"}},
    {"regcollation", {"'\"C\"'"}},
    {"regconfig", {"'english'"}},
    {"regdictionary", {"'simple'"}},
    {"regnamespace", {"'public'"}},
    {"regoper", {"'||/'"}},
    {"regoperator", {"'+(integer,integer)'"}},
    {"regproc", {"'now'"}},
    {"regprocedure", {"'abs(numeric)'"}},
    {"regrole", {"'postgres'"}},
    {"regtype", {"'timestamptz'"}},
    {"text", {R"(E'tab\tnl\nback\\cr\r\x07')", "''", "'NULL'", R"('\N')", "'é€😀'", "'007'"}},
    {"tid", {"'(1,2)'"}},
    {"time", {"'24:00:00'", "'00:00:00.1'", "'23:59:59.999999'"}},
    {"timestamp",
     {"'2026-11-21 10:15:04.5'", "'infinity'", "'-infinity'", "'4713-01-01 00:00:00.000001 BC'",
      "'294276-12-31 23:59:59.999999'", "'0001-01-01'", "'1999-12-31 23:59:59.999999'"}},
    {"timestamptz",
     {"'2026-11-21 10:15:04.123456+05:30'", "'infinity'", "'-infinity'",
      "'0044-03-15 00:00:00+00 BC'", "'294276-12-31 23:59:59+00'", "'10000-01-01 00:00:00+00'"}},
    {"timestamptz(0)", {"'2026-11-21 10:15:04+00'"}},
    {"timetz", {"'10:00:00+02'", "'24:00:00-15:59'"}},
    {"tsmultirange", {"'{}'"}},
    {"tsquery", {"'a & !b'"}},
    {"tsrange", {"'[2026-11-21 10:15,infinity)'"}},
    {"tstzmultirange", {"'{[2026-11-21 10:15+00,)}'"}},
    {"tstzrange", {"'[2026-11-21 10:15+05:30,)'"}},
    {"tsvector", {"'a:1 ''fat'' cat'", "''"}},
    {"txid_snapshot", {"'10:20:10,14'"}},
    {"uuid", {"'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"}},
    {"bit varying", {"B'10'", "B''"}},
    {"varchar(20)", {"''", "'v'"}},
    {"xid", {"'4294967295'"}},
    {"xid8", {"'18446744073709551615'"}},
    {"xml", {"'<a>b</a>'", "''"}},
    {"mood", {"'007'", "'sad'"}},
    {"counted", {"7"}},
    {"priced", {"1.10"}},
    {"pair", {"'(1,t)'", "'(,)'"}},
};

// JSON's array as PostgreSQL's: brackets are braces, strings keep their quotes.
std::string array_literal(const nlohmann::json& value, char delimiter) {
  if (value.is_null()) return "NULL";
  if (value.is_boolean()) return value.get<bool>() ? "t" : "f";
  if (value.is_number()) return value.dump();
  std::string out;
  if (value.is_string()) {
    for (const char c : value.get<std::string>()) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    return '"' + out + '"';
  }
  for (const nlohmann::json& element : value) {
    if (!out.empty()) out += delimiter;
    out += array_literal(element, delimiter);
  }
  return '{' + out + '}';
}

std::string hex(std::string_view bytes) {
  std::string out = "\\x";
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

// What TYPES.md says of the way back, for PostgreSQL with TimeZone UTC.
std::string back(const deltamirror::Statement& row, int column, const Type& type, bool array) {
  const int kind = sqlite3_column_type(row.raw(), column);
  if (kind == SQLITE_BLOB) return hex(row.text(column));
  if (kind == SQLITE_FLOAT) {
    const double value = sqlite3_column_double(row.raw(), column);
    if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
    return fmt::format("{}", value);
  }
  static const std::regex bounds(R"(^(\[-?\d+:-?\d+\])+=)");
  std::string text = row.text(column);
  if (!array || std::regex_search(text, bounds)) return text;
  return array_literal(nlohmann::json::parse(text), type.name == "box" ? ';' : ',');
}

}  // namespace

TEST_CASE("types: each built-in type agrees by seed and replay, and goes back to PostgreSQL",
          "[mirror][types][integration]") {
  Pipeline pipeline;
  // Settings of the database must not leak into what a seed reads.
  pipeline.cluster.execute(R"(
    ALTER DATABASE postgres SET datestyle = 'SQL, DMY';
    ALTER DATABASE postgres SET intervalstyle = 'sql_standard';
    ALTER DATABASE postgres SET bytea_output = 'escape';
    ALTER DATABASE postgres SET extra_float_digits = -15;
    ALTER DATABASE postgres SET timezone = 'Asia/Kolkata';
    CREATE TYPE mood AS ENUM('007', 'sad');
    CREATE DOMAIN counted AS bigint;
    CREATE DOMAIN priced AS numeric(10,2);
    CREATE TYPE pair AS (a int, b boolean))");
  // One column a type, one for its array; each literal is a row, and so is what has none.
  std::string columns;
  std::size_t rows = 0;
  for (std::size_t i = 0; i < kTypes.size(); ++i) {
    columns += fmt::format(", c{0} {1}, a{0} {1}[]", i, kTypes[i].name);
    rows = std::max(rows, kTypes[i].literals.size() + 1);
  }
  pipeline.cluster.execute("CREATE TABLE z(id int PRIMARY KEY" + columns + ")");
  for (std::size_t row = 0; row < rows; ++row) {
    std::string values = std::to_string(row);
    for (const Type& type : kTypes) {
      const auto literal = [&](std::size_t i) {
        return i < type.literals.size() ? "(" + type.literals[i] + ")::" + type.name : "NULL";
      };
      values += fmt::format(", {}, ARRAY[{}, NULL, {}]::{}[]", literal(row), literal(row),
                            literal(row + 1), type.name);
    }
    pipeline.cluster.execute(
        "SET search_path = public, pg_catalog; SET timezone = 'UTC';"
        "INSERT INTO z VALUES(" +
        values + ")");
  }
  // What the server has and this list lacks cannot be in a table of users.
  CHECK(pipeline.cluster.scalar(R"(
    SELECT coalesce(string_agg(typname, ','), '') FROM pg_type t
    WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm')
      AND (typelem = 0 OR typlen <> -1 OR typname IN ('oidvector', 'int2vector'))
      AND typname NOT LIKE 'pg\_brin%'
      AND typname NOT IN ('pg_dependencies', 'pg_mcv_list', 'pg_ndistinct', 'pg_node_tree', 'gtsvector')
      AND NOT EXISTS (SELECT 1 FROM pg_attribute
                      WHERE attrelid = 'z'::regclass AND atttypid = t.oid))") == "");

  pipeline.start_stream();
  const Result seeded = pipeline.seed({"--table", "z"});
  INFO(seeded.err);
  REQUIRE(seeded.ok());
  std::string list;
  for (std::size_t i = 0; i < kTypes.size(); ++i) list += fmt::format(", c{0}, a{0}", i);
  pipeline.cluster.execute("INSERT INTO z SELECT id + 100" + list + " FROM z");
  const Result run = pipeline.run_once();
  INFO(run.err);
  REQUIRE(run.ok());

  Session source = pipeline.cluster.session();
  source.execute("SET timezone = 'UTC'; SET extra_float_digits = 3; SET datestyle = 'ISO, YMD'");
  for (std::size_t i = 0; i < kTypes.size(); ++i) {
    for (const bool array : {false, true}) {
      const std::string column = (array ? "a" : "c") + std::to_string(i);
      CAPTURE(kTypes[i].name, array);
      const deltamirror::Database db = pipeline.open();
      CHECK(db.value(fmt::format("SELECT count(*) FROM z s JOIN z r ON r.id = s.id + 100 WHERE "
                                 "s.{0} IS r.{0} AND typeof(s.{0}) = typeof(r.{0})",
                                 column)) == std::to_string(rows));
      deltamirror::Statement select =
          db.prepare(fmt::format("SELECT id, {} FROM z WHERE id < 100", column));
      while (select.step()) {
        std::string literal = "NULL";
        if (!select.is_null(1)) {
          literal = deltamirror::quote_text(back(select, 1, kTypes[i], array));
        }
        CAPTURE(select.integer(0), literal);
        // The sign of zero is the one thing that is not kept (TYPES.md).
        CHECK(source.scalar(fmt::format(
                  "SELECT replace(format('%s', {0}::{1}{2}), '-0', '0') = "
                  "replace(format('%s', {3}), '-0', '0') AND "
                  "({0}::{1}{2} IS DISTINCT FROM NULL) = ({3} IS DISTINCT FROM NULL) "
                  "FROM z WHERE id = {4}",
                  literal, kTypes[i].name, array ? "[]" : "", column, select.integer(0))) == "t");
      }
    }
  }
}

TEST_CASE("types: numbers compare as numbers by seed and replay, and are exact",
          "[mirror][types][numbers][integration]") {
  Pipeline pipeline;
  pipeline.cluster.execute(R"(
    CREATE DOMAIN price AS numeric(10,2);
    CREATE TABLE bill(id int PRIMARY KEY, small numeric(10,2), whole numeric(12,0), paid price,
      large numeric(30,4), any_size numeric);
    INSERT INTO bill SELECT g, x, x, x, x * 1e15, x FROM generate_series(1, 300) g,
      LATERAL (SELECT (random() * 4000 - 2000)::numeric * g AS x) r;
    INSERT INTO bill VALUES(1001, 'NaN', 'NaN', 'NaN', 'NaN', 'NaN'),
      (1002, 9.5, 9, 9.5, 9.5, 9.5), (1003, 10, 10, 10, 10, 10), (1004, 9.50, 9, 9.50, 9.50, 9.50),
      (1005, 0, 0, 0, 0, '-Infinity'), (1006, NULL, NULL, NULL, NULL, 'Infinity'))");
  pipeline.start_stream();
  REQUIRE(pipeline.seed({"--table", "bill"}).ok());
  const auto same_order = [&](const std::string& column, const std::string& here) {
    CAPTURE(column, here);
    CHECK(pipeline.rows("SELECT id FROM bill WHERE " + here + " IS NOT NULL ORDER BY " + here +
                        ", id") ==
          pipeline.source_rows("SELECT id FROM bill WHERE " + column + " IS NOT NULL ORDER BY " +
                               column + ", id"));
    CHECK(pipeline.value("SELECT count(*) FROM bill WHERE " + here + " > 9.75") ==
          pipeline.cluster.scalar("SELECT count(*) FROM bill WHERE " + column + " > 9.75"));
  };
  const auto check_all = [&] {
    for (const char* column : {"small", "whole", "paid"}) same_order(column, column);
    for (const char* column : {"large", "any_size"}) {
      same_order(column, std::string(column) + "_num");
      CHECK(pipeline.rows(std::string("SELECT ") + column + " FROM bill ORDER BY id") ==
            pipeline.source_rows(std::string("SELECT ") + column + " FROM bill ORDER BY id"));
    }
    CHECK(
        pipeline.rows("SELECT printf('%.2f', small) FROM bill WHERE small <> 'NaN' ORDER BY id") ==
        pipeline.source_rows("SELECT small FROM bill WHERE small <> 'NaN' ORDER BY id"));
  };
  check_all();
  pipeline.cluster.execute(
      "INSERT INTO bill SELECT id + 5000, small / 3, whole * 7, paid / 7, large / 9, any_size / 3 "
      "FROM "
      "bill WHERE id < 1000; UPDATE bill SET small = small + 0.01, any_size = any_size * 2 WHERE "
      "id < 9;"
      "ALTER TABLE bill RENAME any_size TO sum; ALTER TABLE bill RENAME sum TO any_size");
  Result run = pipeline.run_once();
  INFO(run.err);
  REQUIRE(run.ok());
  check_all();
  // PostgreSQL touches no row for it; neither do we ask for them.
  pipeline.cluster.execute(
      "ALTER TABLE bill ALTER small TYPE numeric(20,2), ALTER whole TYPE numeric;"
      "INSERT INTO bill VALUES(9000, 123456789012345678.25, 1e30, 1, 1, 1)");
  run = pipeline.run_once();
  INFO(run.err);
  REQUIRE(run.ok());
  for (const char* column : {"small", "whole"}) {
    same_order(column, std::string(column) + "_num");
    CHECK(pipeline.rows(std::string("SELECT ") + column + " FROM bill ORDER BY id") ==
          pipeline.source_rows(std::string("SELECT ") + column + " FROM bill ORDER BY id"));
  }
}

namespace {

struct Numeric {
  int precision;  // 0: without a modifier
  int scale;
  std::string type() const {
    return precision == 0 ? "numeric" : fmt::format("numeric({},{})", precision, scale);
  }
  std::string name() const { return fmt::format("n{}_{}", precision, scale < 0 ? 1000 : scale); }
};

// `digits` (no more than the precision) as a decimal with `scale` places, as SQL.
std::string decimal(const std::string& digits, int scale) {
  if (scale <= 0) return digits + std::string(static_cast<std::size_t>(-scale), '0');
  const auto places = static_cast<std::size_t>(scale);
  std::string text = digits;
  if (text.size() <= places) text.insert(0, places + 1 - text.size(), '0');
  return text.insert(text.size() - places, ".");
}

std::string random_digits(std::mt19937_64& random, int most) {
  std::string digits;
  const auto size = static_cast<int>(random() % static_cast<std::size_t>(most)) + 1;
  for (int i = 0; i < size; ++i) digits += static_cast<char>('0' + random() % 10);
  return digits;
}

// One row: the same kind of value in each column.
std::string row_of(const std::vector<Numeric>& columns, int kind, std::mt19937_64& random) {
  std::string row;
  for (const Numeric& column : columns) {
    const int most = column.precision == 0 ? 60 : column.precision;
    const int scale = column.precision == 0 ? static_cast<int>(random() % 40) : column.scale;
    const auto nines = std::string(static_cast<std::size_t>(most), '9');
    std::string value;
    switch (kind) {
      case 0:
        value = "0";
        break;
      case 1:
        value = decimal(nines, scale);
        break;
      case 2:
        value = "-" + decimal(nines, scale);
        break;
      case 3:
        value = decimal("1", scale);
        break;
      case 4:
        value = "-" + decimal("1", scale);
        break;
      case 5:
        value = decimal("5" + nines.substr(1), scale);
        break;
      case 6:
        value = decimal("1" + std::string(static_cast<std::size_t>(most - 1), '0'), scale);
        break;
      case 7:
        value = "'NaN'";
        break;
      case 8:
        value = column.precision == 0 ? "'-Infinity'" : "NULL";
        break;
      case 9:
        value = column.precision == 0 ? "1e300" : decimal("9", scale);
        break;
      case 10:
        value = column.precision == 0 ? "1e-300" : decimal("8", scale);
        break;
      default:
        value = (random() % 2 == 0 ? "-" : "") + decimal(random_digits(random, most), scale);
    }
    row += (row.empty() ? "" : ", ") + value;
  }
  return row;
}

}  // namespace

TEST_CASE("types: a numeric of any precision comes back as PostgreSQL's own text, both ways",
          "[mirror][types][numbers][integration]") {
  const std::uint32_t rng_seed = Catch::rngSeed();
  CAPTURE(rng_seed);
  std::mt19937_64 random(rng_seed);
  std::vector<Numeric> columns = {{0, 0},   {16, 2}, {16, 0}, {18, 0},  {19, 0}, {19, 19},
                                  {38, 10}, {60, 0}, {3, -2}, {15, -3}, {2, 5},  {15, 20}};
  for (int precision = 1; precision <= 15; ++precision) {
    for (int scale = 0; scale <= precision; ++scale) columns.push_back({precision, scale});
  }
  std::string create = "CREATE TABLE n(id int PRIMARY KEY";
  for (const Numeric& column : columns) create += ", " + column.name() + " " + column.type();
  Pipeline pipeline;
  pipeline.cluster.execute(create + ")");
  const auto insert = [&](int from) {
    std::string sql = "INSERT INTO n VALUES ";
    for (int kind = 0; kind < 40; ++kind) {
      sql += fmt::format("{}({}, {})", kind == 0 ? "" : ", ", from + kind,
                         row_of(columns, kind, random));
    }
    pipeline.cluster.execute(sql);
  };
  insert(0);
  pipeline.start_stream();
  const Result seeded = pipeline.seed({"--table", "n"});
  INFO(seeded.err);
  REQUIRE(seeded.ok());
  insert(1000);
  // A row that was seeded gets the values of another one.
  std::string assign;
  for (const Numeric& column : columns) {
    assign +=
        fmt::format("{}{} = other.{}", assign.empty() ? "" : ", ", column.name(), column.name());
  }
  pipeline.cluster.execute("UPDATE n SET " + assign +
                           " FROM n other WHERE n.id < 10 AND other.id "
                           "= n.id + 1020");
  const Result run = pipeline.run_once();
  INFO(run.err);
  REQUIRE(run.ok());

  const deltamirror::Database db = pipeline.open();
  for (const Numeric& column : columns) {
    CAPTURE(column.type());
    const bool is_real = column.precision >= 1 && column.precision <= 15 && column.scale > 0;
    const bool is_whole =
        column.precision >= 1 && column.scale <= 0 && column.precision - column.scale <= 18;
    const bool is_text = !is_real && !is_whole;
    const std::vector<std::string> there =
        pipeline.source_rows("SELECT " + column.name() + " FROM n ORDER BY id");
    const std::vector<std::string> doubles =
        pipeline.source_rows("SELECT " + column.name() + "::float8 FROM n ORDER BY id");
    deltamirror::Statement select = db.prepare(
        fmt::format("SELECT {0}, printf('%.{1}f', {0}), {2} FROM n ORDER BY id", column.name(),
                    std::max(column.scale, 0), is_text ? column.name() + "_num" : "0"));
    std::size_t at = 0;
    for (; select.step(); ++at) {
      REQUIRE(at < there.size());
      const std::string& text = there[at];
      CAPTURE(at, text);
      const int kind = sqlite3_column_type(select.raw(), 0);
      if (text == "NULL") {
        CHECK(kind == SQLITE_NULL);
      } else if (is_text || text == "NaN") {
        CHECK(kind == SQLITE_TEXT);
        CHECK(select.text(0) == text);
      } else if (is_whole) {
        CHECK(kind == SQLITE_INTEGER);
        CHECK(select.text(0) == text);
      } else {
        CHECK(kind == SQLITE_FLOAT);
        const double value = sqlite3_column_double(select.raw(), 0);
        CHECK(value == std::stod(text));
        CHECK(fmt::format("{:.{}f}", value, column.scale) == text);
        CHECK(select.text(1) == text);
      }
      if (!is_text || text == "NULL") continue;
      if (text == "NaN") {
        CHECK(select.text(2) == text);
        continue;
      }
      CHECK(sqlite3_column_type(select.raw(), 2) == SQLITE_FLOAT);
      const double value = sqlite3_column_double(select.raw(), 2);
      const double exact = std::stod(doubles[at]);
      // SQLite reads a decimal to within a unit of the last place.
      CHECK((value == exact || std::abs(value - exact) <= std::abs(exact) * 4e-16));
    }
    CHECK(at == there.size());
  }
}
