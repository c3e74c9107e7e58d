// A `where` chooses the same rows in PostgreSQL and here, whatever it says and whatever they hold.
#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

#include "filter/row_filter.h"
#include "support/cluster.h"

using namespace deltamirror;
using support::Texts;
using Ids = std::vector<int>;

namespace {

struct Column {
  const char* name;
  const char* type;  // as format_type spells it
  Texts values;      // as PostgreSQL takes and, but for numbers, `where` takes them
  bool ordered = true;
};

const std::vector<Column>& columns() {
  static const std::vector<Column> all = {
      {"i", "integer", {"-2147483648", "-1", "0", "1", "7", "2147483647"}},
      {"l", "bigint", {"-9223372036854775808", "0", "5", "9223372036854775807"}},
      {"b", "boolean", {"TRUE", "FALSE"}},
      {"f",
       "double precision",
       {"'NaN'", "'Infinity'", "'-Infinity'", "0", "'-0'", "0.1", "1e300", "-2.5", "'5e-324'"}},
      {"n",
       "numeric",
       {"'NaN'", "'Infinity'", "'-Infinity'", "0", "-0.00", "0.1", "0.10", "-1.5", "10", "9.999",
        "100000000000000000000000", "-0.05", "00012.5"}},
      {"n2",
       "numeric(10,2)",
       {"'NaN'", "0", "-0.00", "0.1", "0.10", "-1.5", "10", "9.99", "99999999.99", "0.30"}},
      {"n0", "numeric(6,0)", {"'NaN'", "0", "-7", "10", "9", "999999"}},
      {"t",
       "text",
       {"''", "'a'", "'A'", "'ab'", "'a b'", "'ä'", "'z'", "'a%b'", "'it''s'", "'x\\y'", "' '",
        "'😀x'", "'aXbXc'"}},
      {"c", "character(4)", {"''", "'a'", "'a  '", "'ab'", "'A'", "'a b'", "'ä'"}},
      {"d",
       "date",
       {"'infinity'", "'-infinity'", "'2026-11-21'", "'0001-01-01'", "'9999-12-31'",
        "'10000-01-01'", "'2024-02-29'"}},
      {"ts",
       "timestamp without time zone",
       {"'infinity'", "'-infinity'", "'2026-11-21'", "'2026-11-21 00:00:00.5'",
        "'2026-11-21 00:00:00.25'", "'2026-11-21 10:15'", "'10000-01-01 00:00:00'",
        "'0001-01-01 00:00:00'"}},
      {"tz",
       "timestamp with time zone",
       {"'infinity'", "'2026-11-21 23:59:59.999999'", "'2026-11-21 00:00:00.5'", "'2026-11-22'"}},
      {"tm", "time without time zone", {"'00:00'", "'10:15:04.5'", "'10:15:04.25'", "'23:59:59'"}},
      {"u",
       "uuid",
       {"'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "'00000000-0000-0000-0000-000000000000'",
        "'ffffffff-ffff-ffff-ffff-ffffffffffff'", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A12'"}},
      {"x", "bytea", {"'\\x'", "'\\x00'", "'\\x00ff'", "'\\xff'"}},
      {"e", "public.mood", {"'sad'", "'ok'", "'happy'"}, false},
      {"ip", "inet", {"'10.0.0.1'", "'10.0.0.0/8'", "'::1'"}, false},
  };
  return all;
}

Shape shape() {
  Shape out;
  int attnum = 1;
  for (const Column& column : columns()) {
    out.columns.push_back({++attnum, column.name, column.type, false});  // after id
  }
  return out;
}

class Expressions {
 public:
  explicit Expressions(std::uint32_t seed) : random_(seed) {}

  std::string make(int depth) {
    if (depth > 0 && below(3) != 0) {
      const std::string left = make(depth - 1);
      if (below(4) == 0) return "NOT (" + left + ")";
      return "(" + left + (below(2) == 0 ? " AND " : " OR ") + make(depth - 1) + ")";
    }
    const Column& column = columns()[below(columns().size())];
    const std::string name = column.name;
    const auto value = [&] { return column.values[below(column.values.size())]; };
    static const Texts kSigns = {"=", "<>", "<", "<=", ">", ">="};
    static const Texts kPatterns = {"'a%'", "'%b'", "'_'",      "'%X%X%'", "'a\\%b'",
                                    "''",   "'__'", "'%\\\\%'", "'_x'",    "'%'"};
    switch (below(7)) {
      case 0:
        return name + (below(2) == 0 ? " IS NULL" : " IS NOT NULL");
      case 1:
        return name + (below(2) == 0 ? " IN (" : " NOT IN (") + value() + ", " + value() + ")";
      case 2:
        if (column.ordered) {
          return name + (below(2) == 0 ? " BETWEEN " : " NOT BETWEEN ") + value() + " AND " +
                 value();
        }
        break;
      case 3:
        return std::string(below(2) == 0 ? "t LIKE " : "t NOT LIKE ") +
               kPatterns[below(kPatterns.size())];
      case 4:
        return below(2) == 0 ? "b" : "NOT b";
      case 5:
        return value() + " " + kSigns[below(column.ordered ? 6 : 2)] + " " + name;
      default:
        break;
    }
    return name + " " + kSigns[below(column.ordered ? 6 : 2)] + " " + value();
  }
  std::size_t below(std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_);
  }

 private:
  std::mt19937 random_;
};

}  // namespace

TEST_CASE("where: chooses the same rows in PostgreSQL and in the mirror",
          "[mirror][filter][integration]") {
  support::Cluster cluster({.initdb_arguments = {"--encoding=UTF8", "--locale=C"}});
  support::Session session = cluster.session();
  const std::uint32_t seed = std::random_device{}();
  INFO("seed " << seed);
  Expressions random(seed);
  session.execute("CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')");
  session.execute("SET TimeZone = 'UTC'; SET search_path = ''; SET bytea_output = 'hex'");
  std::string table = "CREATE TABLE public.v(id serial";
  std::string list = "id::text";
  for (const Column& column : columns()) {
    table += ", " + std::string(column.name) + " " + column.type;
    list += std::string(", format('%s', ") + column.name + "), " + column.name + " IS NULL";
  }
  session.execute(table + ")");
  for (int row = 0; row < 400; ++row) {
    std::string values;
    for (const Column& column : columns()) {
      const bool null = random.below(6) == 0;
      values += (values.empty() ? "" : ", ") +
                (null ? "NULL" : column.values[random.below(column.values.size())]);
    }
    session.execute("INSERT INTO public.v VALUES(DEFAULT, " + values + ")");
  }

  TypeNames types;
  types.add("public.mood", "");
  const support::Rows rows =
      session.query("SELECT " + list + " FROM public.v ORDER BY public.v.id");
  REQUIRE(rows.size() == 400);
  int chosen = 0;
  for (int n = 0; n < 600; ++n) {
    const std::string text = random.make(3);
    CAPTURE(text);
    const RowFilter filter(text, shape(), types);
    Ids ours;
    for (const support::Row& row : rows) {
      std::vector<Value> values(filter.attnums().size());
      std::vector<std::string> scratch(values.size());
      std::vector<const Value*> pointers;
      for (std::size_t i = 0; i < values.size(); ++i) {
        const auto column = static_cast<std::size_t>(filter.attnums()[i] - 2);
        if (row[2 + 2 * column] != "t") {
          values[i] = convert(types.resolve(columns()[column].type).value(), *row[1 + 2 * column],
                              scratch[i]);
        }
        pointers.push_back(&values[i]);
      }
      const Truth truth = filter.evaluate(pointers);
      REQUIRE((truth.set() == Truth::kTrue || truth.set() == Truth::kFalse ||
               truth.set() == Truth::kNull));
      if (truth.is_true()) ours.push_back(std::stoi(*row[0]));
    }
    const auto theirs = [&](const std::string& where) {
      Ids out;
      for (const auto& row :
           session.query("SELECT id FROM public.v WHERE " + where + " ORDER BY id")) {
        out.push_back(std::stoi(*row[0]));
      }
      return out;
    };
    REQUIRE(ours == theirs(filter.sql(shape())));
    // As a person would have written it there: the database's collation is C.
    REQUIRE(ours == theirs(text));
    // Written in our way it is the same expression.
    const RowFilter again(filter.text(shape()), shape(), types);
    CHECK(again.text(shape()) == filter.text(shape()));
    if (!ours.empty() && ours.size() < rows.size()) ++chosen;
  }
  CHECK(chosen > 200);
}
