// Values: every type's text is PostgreSQL's own, whatever the session and the encoding.
#include <catch2/catch.hpp>
#include <map>

#include "decoding.h"

using namespace plugin_test;

namespace {

std::string unescaped(const std::string& raw) {
  std::string out;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\') {
      out += raw[i];
      continue;
    }
    const char c = raw[++i];
    out += c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c;
  }
  return out;
}

// The settings that the plugin fixes (docs/guarantees.md#the-line), for the query that says what is
// expected.
constexpr const char* kFixed =
    "SET datestyle = ISO; SET intervalstyle = postgres; SET extra_float_digits = 3; SET "
    "bytea_output"
    " = hex; SET timezone = 'UTC'; SET lc_monetary = 'C'; SET quote_all_identifiers = off;"
    " SET search_path = ''";

// Values of every type that has a text form of its own here, and of some that have not.
constexpr const char* kValues = R"(
CREATE TYPE mood AS ENUM ('so so', 'fine'); CREATE DOMAIN posint AS int CHECK (VALUE > 0);
CREATE DOMAIN yes AS boolean; CREATE TYPE pair AS (a int, b text);
CREATE TABLE v (id int PRIMARY KEY,
  i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric, n2 numeric(10, 2), m money, b bool,
  t text, vc varchar(10), c char(5), nm name, q "char", ba bytea, d date, tm time, tz timetz,
  ts timestamp, tt timestamptz, iv interval, u uuid, j json, jb jsonb, jp jsonpath, x xml, o oid,
  ia int[], ta text[], md mood, po posint, ye yes, pa pair, r int4range, mr nummultirange,
  ip inet, ci cidr, ma macaddr, m8 macaddr8, pt point, ln line, ls lseg, bx box, ph path,
  pg polygon, cr circle, bi bit(3), bv varbit, tv tsvector, tq tsquery, rc regclass, l pg_lsn,
  xx xid, x8 xid8);
INSERT INTO v VALUES (1, -32768, -2147483648, -9223372036854775808, 1.1, 0.1, 1.10, 12345678.90,
  1234.5, true, E'tab\tnew\nreturn\rback\\ \u2028 h\u00e9n', 'v', 'c', 'n', 'q', '\x005c09ff',
  '2026-11-21', '10:15:04.5', '10:15:04.000001-07:30', '2026-11-21 10:15:04.120', now(),
  '1 year -2 mons +3 days 04:05:06.789', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a" :  1}',
  '{"b":"\\t","a":1.0}', '$.a[*]', '<a>b</a>', 4294967295, '{1,NULL,-3}', '{a,"b\\c","",NULL}',
  'so so', 7, true, '(1,"a b")', '[1,5)', '{[1,2],(3,)}', '10.0.0.1/8', '10.0.0.0/8',
  '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '(1.5,-2)', '{1,2,3}', '[(0,0),(1,1)]',
  '(1,1),(0,0)', '((0,0),(1,1))', '((0,0),(1,1),(1,0))', '<(0,0),2>', '101', '1', 'a:1 b',
  'a & !b', 'pg_class', '16/B374D848', '7', '77');
INSERT INTO v (id, i2, i4, i8, f4, f8, n, b, t, ba, d, tm, ts, tt, iv, ta, j) VALUES
  (2, 32767, 2147483647, 9223372036854775807, 'NaN', '-Infinity', 'NaN', false, '', '',
   'infinity', '24:00', '-infinity', 'infinity', '-00:00:00.000001', '{}', ' [ ] '),
  (3, 0, 0, 0, '-0', '-0', '-Infinity', NULL, '\N', '\x', '4713-01-01 BC', '00:00',
   '0044-03-15 12:00 BC', '0044-03-15 12:00+00 BC', '0', '{NULL}', 'null'),
  (4, 1, 1, 1, 1e-45, 5e-324, 0.000, NULL, 'NULL', NULL, '5874897-12-31', '23:59:59.999999',
   '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999+00', NULL, NULL, NULL),
  (5, 9, 99, 999, 3.4028235e38, 1.7976931348623157e308, -1e-20, NULL, U&'\0001\000b\007f', NULL,
   '0001-01-01', '00:00:00.1', '0001-01-01 00:00', '9999-12-31 23:59:59.9+00', NULL, NULL, NULL),
  (6, 9, 100, 1000, 123456.79, 1e15, 1e300, NULL, NULL, NULL, '9999-12-31', '12:34:56.78',
   '1999-12-31 23:59:59.999999', '10000-01-01 00:00+00', NULL, NULL, NULL),
  (7, 9, 1, 1, 1e6, 1e16, (repeat('9', 131072))::numeric, NULL, NULL, NULL, '2000-02-29',
   '00:00:01', '1582-10-15 01:00', '1969-12-31 23:59:59.5+00', NULL, NULL, NULL);
INSERT INTO v (id, d, ts, tt, f8, i8)
  SELECT i, date '0001-01-01' + (i * 36521.7)::int, timestamp '1000-01-01' + i * interval '31 days 01:02:03.000456',
    timestamptz '1900-01-01' + i * interval '301 days 13:02:03.120', exp(i / 7.0) * (-1) ^ i, (7.0 ^ (i % 22))::int8
  FROM generate_series(10, 109) i;
)";

// Compares every value of every line with what PostgreSQL says of the row.
void check_values(const Source& source, const Lines& lines) {
  auto session = source.session();
  session.execute(kFixed);
  std::map<std::string, std::map<std::string, std::string>> rows;
  for (const std::string& line : lines) {
    const Fields fields(line);
    if (fields.action != "insert" || fields.head("_table") != "v") continue;
    for (const auto& [name, value] : fields.columns) {
      rows[fields.column("id").value()][name] = unescaped(value);
    }
  }
  const auto names = session.query(
      "SELECT quote_ident(attname), attname FROM pg_attribute WHERE attrelid = 'public.v'::regclass"
      " AND attnum > 0");
  REQUIRE(rows.size() == 107);
  for (const auto& name : names) {
    const std::string column = name[0].value();
    // A boolean column is 1 and 0; all else is what its output function says.
    const std::string text = column == "b" ? "b::int::text" : "format('%s', " + column + ")";
    // Not IS NULL, which a composite of NULLs is as well.
    const auto expected =
        session.query("SELECT id::text, CASE WHEN " + column + " IS DISTINCT FROM NULL THEN " +
                      text + " END FROM public.v");
    for (const auto& row : expected) {
      const auto& told = rows[row[0].value()];
      const auto found = told.find(name[1].value());
      CAPTURE(column, row[0].value());
      if (!row[1]) {
        CHECK(found == told.end());
      } else {
        REQUIRE(found != told.end());
        CHECK(found->second == row[1].value());
      }
    }
  }
}

}  // namespace

TEST_CASE("values: each type's text is PostgreSQL's own", "[plugin][values]") {
  const Source source;
  source.execute(kValues);
  check_values(source, source.peek());
}

TEST_CASE("values: the same bytes whatever the session has set", "[plugin][values]") {
  const Source source;
  source.execute(kValues);
  const Lines expected = source.peek();
  for (const char* setting :
       {"datestyle = 'SQL, DMY'", "intervalstyle = 'iso_8601'", "extra_float_digits = -15",
        "bytea_output = 'escape'", "timezone = 'Asia/Tokyo'", "search_path = 'pg_catalog, public'",
        "quote_all_identifiers = on", "xmlbinary = hex"}) {
    source.execute("ALTER DATABASE " + source.database() + " SET " + setting);
  }
  CHECK(source.peek() == expected);
  CHECK(source.receive() == expected);
  CHECK(source.receive({{"batch-bytes", "4096"}}) == expected);
}

TEST_CASE("values: the caller's settings are as they were", "[plugin][values]") {
  const Source source;
  source.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
  auto session = source.session();
  session.execute("SET datestyle = 'SQL, DMY'; SET timezone = 'Asia/Tokyo'");
  const std::string peek =
      "SELECT count(*) FROM pg_logical_slot_peek_changes('" + source.database() + "', NULL, NULL";
  CHECK(session.scalar(peek + ")") == "1");
  CHECK(session.scalar("SHOW datestyle") == "SQL, DMY");
  CHECK(session.scalar("SHOW timezone") == "Asia/Tokyo");
  // Also after an error, and within a transaction that goes on.
  CHECK_THROWS(session.query(peek + ", 'bogus', 'x')"));
  CHECK(session.scalar("SHOW datestyle") == "SQL, DMY");
  session.execute("BEGIN; SAVEPOINT s");
  CHECK_THROWS(session.query(peek + ", 'tables', '')"));
  session.execute("ROLLBACK TO s");
  CHECK(session.scalar("SHOW timezone") == "Asia/Tokyo");
  CHECK(session.scalar(peek + ")") == "1");
  session.execute("COMMIT");
  CHECK(session.scalar("SHOW timezone") == "Asia/Tokyo");
}

TEST_CASE("values: UTF-8 from LATIN1 and EUC_JP databases", "[plugin][values][encoding]") {
  for (const std::string encoding : {"LATIN1", "EUC_JP"}) {
    CAPTURE(encoding);
    const Source source("deltaflood", "TEMPLATE template0 ENCODING '" + encoding + "' LOCALE 'C'");
    auto session = source.session();
    session.execute("SET client_encoding = 'UTF8'");
    const std::string word = encoding == "LATIN1" ? "h\u00e9n" : "\u9d8f";
    session.execute("CREATE TABLE \"" + word + "\" (\"" + word + "\" text, b text)");
    session.execute("INSERT INTO \"" + word + "\" VALUES ('a\t" + word + "', repeat('" + word +
                    "', 20000))");
    // pg_recvlogical writes what comes; the SQL function's answer would be converted again.
    const Lines lines = source.receive({{"include-schema", "on"}});
    REQUIRE(lines.size() == 2);
    CHECK(Fields(lines[0]).column(word) == "1 text");
    CHECK(Fields(lines[1]).head("_table") == "\"" + word + "\"");
    CHECK(Fields(lines[1]).column(word) == "a\\t" + word);
    std::string long_text;
    for (int i = 0; i < 20000; ++i) long_text += word;
    CHECK(Fields(lines[1]).column("b") == long_text);
  }
}

TEST_CASE("values: a byte without a UTF-8 form does not stop the slot",
          "[plugin][values][encoding]") {
  const Source ascii("deltaflood", "TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'");
  ascii.execute("CREATE TABLE t (a text)");
  ascii.execute("INSERT INTO t VALUES (E'h\\xe9n\\t'), (E'h\\xc3\\xa9n'), (E'\\xc3')");
  const Lines lines = ascii.receive();
  REQUIRE(lines.size() == 3);
  CHECK(Fields(lines[0]).column("a") == "h\\xe9n\\t");
  CHECK(Fields(lines[1]).column("a") == "h\u00e9n");
  CHECK(Fields(lines[2]).column("a") == "\\xc3");

  // 0xA9A9 is a valid EUC_JP character that Unicode has no code point for.
  const Source japanese("deltaflood", "TEMPLATE template0 ENCODING 'EUC_JP' LOCALE 'C'");
  japanese.execute(
      "SET client_encoding = 'EUC_JP'; CREATE TABLE t (a text);"
      "INSERT INTO t VALUES (E'a\\xa9\\xa9b')");
  const Lines gaps = japanese.receive();
  REQUIRE(gaps.size() == 1);
  CHECK(Fields(gaps[0]).column("a") == "a\\xa9\\xa9b");
}

TEST_CASE("values: hstore and citext", "[plugin][values]") {
  const Source source;
  source.execute("CREATE EXTENSION hstore; CREATE EXTENSION citext");
  source.execute(
      "CREATE TABLE t (h hstore, c citext); INSERT INTO t VALUES ('a=>1,b=>NULL', 'Ab\t')");
  const Lines lines = without(source.peek(), "schema");
  REQUIRE(lines.size() == 1);
  CHECK(Fields(lines[0]).column("h") == "\"a\"=>\"1\", \"b\"=>NULL");
  CHECK(Fields(lines[0]).column("c") == "Ab\\t");
}
