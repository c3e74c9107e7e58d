#include "shape_storm.h"

#include <algorithm>
#include <exception>

#include "daystream/error.h"

namespace fault {

namespace {

constexpr std::size_t kMostTables = 9;
constexpr std::size_t kMostColumns = 9;

const std::vector<std::string> kOthers = {"x0", "x1", "x2", "x3"};

std::string number(std::uint64_t value) {
  return std::to_string(value);
}

template <typename T>
void append(std::vector<T>& to, std::vector<T> more) {
  for (T& each : more) to.push_back(std::move(each));
}

}  // namespace

const std::vector<std::string>& ShapeStorm::wished() {
  static const std::vector<std::string> names = {"w0", "w1", "w2", "w3", "w4"};
  return names;
}

ShapeStorm::ShapeStorm(support::Cluster& cluster, Random& random, std::string database,
                       std::string tag)
    : cluster_(cluster), random_(random), database_(std::move(database)), tag_(std::move(tag)) {
  execute(
      "CREATE SCHEMA other;"
      "CREATE TYPE e0 AS ENUM ('red', 'green', 'blue');"
      "CREATE TYPE c0 AS (a int, b text);"
      "CREATE DOMAIN d0 AS int");
  for (const std::string& name : wished()) {
    execute("CREATE TABLE " + name + "(id int PRIMARY KEY, c1 text, c2 int, c3 e0)");
  }
  execute(
      "INSERT INTO w0(id, c1) SELECT i, 'v' || i FROM generate_series(1, 20) i;"
      "INSERT INTO w1(id, c3) SELECT i, 'green' FROM generate_series(1, 20) i");
}

support::Rows ShapeStorm::query(const std::string& sql) const {
  return cluster_.query(sql, database_);
}

void ShapeStorm::execute(const std::string& sql) const {
  cluster_.execute(sql, database_);
}

std::vector<ShapeStorm::Table> ShapeStorm::tables() const {
  std::vector<Table> out;
  for (const support::Row& row :
       query("SELECT n.nspname, c.relname, c.relkind, c.relpersistence FROM pg_class c "
             "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('public', 'other') "
             "AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1, 2")) {
    out.push_back({.name = *row[0] + "." + *row[1],
                   .bare = *row[1],
                   .schema = *row[0],
                   .partitioned = *row[2] == "p",
                   .logged = *row[3] == "p"});
  }
  return out;
}

std::vector<ShapeStorm::Column> ShapeStorm::columns(const Table& table) const {
  std::vector<Column> out;
  for (const support::Row& row :
       query("SELECT a.attname, format_type(a.atttypid, a.atttypmod), t.typtype "
             "FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid "
             "WHERE a.attrelid = to_regclass('" +
             table.name +
             "') AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' "
             "AND a.attname <> 'id' ORDER BY a.attnum")) {
    out.push_back({*row[0], *row[1], row[2]->at(0)});
  }
  return out;
}

std::vector<std::string> ShapeStorm::own_types() const {
  std::vector<std::string> out;
  for (const support::Row& row :
       query("SELECT typname FROM pg_type WHERE typname IN ('e0', 'c0', 'd0')")) {
    out.push_back(*row[0]);
  }
  return out;
}

std::string ShapeStorm::constraint(const Table& table) const {
  const support::Rows rows =
      query("SELECT conname FROM pg_constraint WHERE contype = 'p' AND conrelid = to_regclass('" +
            table.name + "')");
  return rows.empty() ? "no_such_key" : *rows[0][0];
}

std::string ShapeStorm::fresh_name(const std::string& stem) {
  return stem + tag_ + number(++names_);
}

// Of a table that is not there, mostly a wished one.
std::string ShapeStorm::free_name() {
  std::vector<std::string> names = wished();
  append(names, wished());
  append(names, kOthers);
  for (const Table& table : tables()) {
    if (table.schema == "public") std::erase(names, table.bare);
  }
  return names.empty() ? fresh_name("y") : one_of(names);
}

std::string ShapeStorm::some_type() {
  std::vector<std::string> types = {"int",   "bigint",      "text",  "varchar(40)",
                                    "bool",  "timestamptz", "bytea", "numeric(12,2)",
                                    "jsonb", "inet",        "int[]", "text[]"};
  append(types, own_types());
  append(types, own_types());
  return one_of(types);
}

// An expression over i that every column of that type takes.
std::string ShapeStorm::value(const Column& column) const {
  if (column.kind == 'e') {
    return "(enum_range(NULL::" + column.type +
           "))[1 + i % cardinality(enum_range(NULL::" + column.type + "))]";
  }
  if (column.kind == 'c') {
    return "json_populate_record(NULL::" + column.type + R"(, '{"a": 5, "b": "x, \"y\""}'))";
  }
  if (column.kind == 'd') return "(i % 2)::text::" + column.type;
  const std::string& type = column.type;
  if (type == "integer" || type == "bigint") return "i * 3";
  if (type == "boolean") return "i % 2 = 0";
  if (type.starts_with("numeric")) return "i / 4.0";
  if (type.starts_with("timestamp")) return "'2026-01-01Z'::timestamptz + i * interval '1 s'";
  if (type == "bytea") return "decode(md5(i::text), 'hex')";
  if (type == "jsonb") return "jsonb_build_object('a', i)";
  if (type == "inet") return "'10.0.0.0'::inet + i";
  if (type == "cidr") return "set_masklen('10.0.0.0'::inet + i, 32)::cidr";
  if (type == "integer[]") return "ARRAY[i, NULL, i + 1]";
  if (type == "text[]") return "ARRAY['a,b', NULL, i::text]";
  return "repeat('v', 1 + i % 5) || i";
}

// ---- rows --------------------------------------------------------------------------------------

ShapeStorm::Lines ShapeStorm::change_rows() {
  const std::vector<Table> all = tables();
  if (all.empty()) return {};
  Lines out;
  for (std::uint64_t n = 1 + random_.below(3); n > 0; --n) {
    const Table& table = one_of(all);
    const std::vector<Column> has = columns(table);
    const std::string from = number(random_.below(60));
    std::string names = "id";
    std::string values = "i";
    for (const Column& column : has) {
      if (random_.one_in(4)) continue;
      names += ", " + column.name;
      values += ", " + value(column);
    }
    switch (random_.below(7)) {
      case 0:
      case 1:
      case 2:
        out.push_back("INSERT INTO " + table.name + "(" + names + ") SELECT " + values +
                      " FROM generate_series(" + from + ", " + from +
                      " + 6) i ON CONFLICT DO NOTHING");
        break;
      case 3:
        out.push_back("DELETE FROM " + table.name + " WHERE id % 5 = " + number(random_.below(5)));
        break;
      case 4:
        out.push_back("UPDATE " + table.name + " SET id = id + 100 WHERE id BETWEEN 3 AND 6");
        break;
      default:
        if (has.empty()) break;
        const Column& column = one_of(has);
        out.push_back("UPDATE " + table.name + " AS t SET " + column.name + " = " + value(column) +
                      " FROM generate_series(1, 200) i WHERE i = t.id AND t.id % 3 = " +
                      number(random_.below(3)));
    }
  }
  return out;
}

// ---- shapes ------------------------------------------------------------------------------------

ShapeStorm::Lines ShapeStorm::create(const std::string& name) {
  const std::string first = fresh_name("c") + " " + some_type();
  const std::string columns = first + ", " + fresh_name("c") + " " + some_type();
  switch (random_.below(6)) {
    case 0: {
      const std::string low = fresh_name("part");
      const std::string high = fresh_name("part");
      return {
          "CREATE TABLE " + name + "(id int PRIMARY KEY, " + columns + ") PARTITION BY RANGE (id)",
          "CREATE TABLE " + low + " PARTITION OF " + name + " FOR VALUES FROM (MINVALUE) TO (30)",
          "CREATE TABLE " + high + " PARTITION OF " + name + " FOR VALUES FROM (30) TO (MAXVALUE)"};
    }
    case 1:
      return {"CREATE TABLE " + name + "(id int, " + columns + ")",
              "ALTER TABLE " + name + " REPLICA IDENTITY FULL"};
    case 2: {
      const std::string key = fresh_name("key");
      return {"CREATE TABLE " + name + "(id int NOT NULL, " + columns + ", CONSTRAINT " + key +
                  " UNIQUE (id))",
              "ALTER TABLE " + name + " REPLICA IDENTITY USING INDEX " + key};
    }
    case 3:
      return {"CREATE TABLE " + name + "(id int NOT NULL, " + columns + ")"};
    default:
      return {"CREATE TABLE " + name + "(id int PRIMARY KEY, " + columns + ")"};
  }
}

ShapeStorm::Lines ShapeStorm::change_shape() {
  const std::vector<Table> all = tables();
  if (all.size() < 3) return create(free_name());
  const Table& table = one_of(all);
  switch (random_.below(12)) {
    case 0:
    case 1:
    case 2:
      return change_identity(table);
    case 3:
    case 4:
    case 5:
      return change_columns(table);
    case 6:
    case 7:
      return change_types();
    case 8:
      if (table.partitioned) return change_partitions(table);
      [[fallthrough]];
    default:
      return change_tables();
  }
}

ShapeStorm::Lines ShapeStorm::change_tables() {
  std::vector<Table> all = tables();
  const Table table = one_of(all);
  const std::string meanwhile = fresh_name("m");
  const auto rename = [](const Table& t, const std::string& to) {
    return "ALTER TABLE " + t.name + " RENAME TO " + to;
  };
  if (all.size() >= kMostTables) return {"DROP TABLE " + table.name + " CASCADE"};
  std::erase_if(all, [&](const Table& t) { return t.schema != table.schema; });
  switch (random_.below(9)) {
    case 0:
      return {"DROP TABLE " + table.name + " CASCADE"};
    case 1:
    case 2:
      return create(free_name());
    case 3:
      return {"CREATE TABLE " + table.schema + "." + meanwhile + "(LIKE " + table.name +
                  " INCLUDING ALL)",
              "INSERT INTO " + table.schema + "." + meanwhile + " SELECT * FROM " + table.name,
              "DROP TABLE " + table.name + " CASCADE",
              "ALTER TABLE " + table.schema + "." + meanwhile + " RENAME TO " + table.bare};
    case 4: {
      Lines out = {"DROP TABLE " + table.name + " CASCADE"};
      append(out, create(table.name));
      return out;
    }
    case 5:
      return {rename(table, free_name())};
    case 6: {
      const Table& other = one_of(all);
      return {rename(table, meanwhile), rename(other, table.bare),
              "ALTER TABLE " + table.schema + "." + meanwhile + " RENAME TO " + other.bare};
    }
    case 7: {
      const Table& second = one_of(all);
      const Table& third = one_of(all);
      return {rename(table, meanwhile), rename(second, table.bare), rename(third, second.bare),
              "ALTER TABLE " + table.schema + "." + meanwhile + " RENAME TO " + third.bare};
    }
    default:
      return {"ALTER TABLE " + table.name + " SET SCHEMA " +
              (table.schema == "public" ? "other" : "public")};
  }
}

ShapeStorm::Lines ShapeStorm::change_identity(const Table& table) {
  const std::string alter = "ALTER TABLE " + table.name + " ";
  switch (random_.below(8)) {
    case 0:
      return {alter + "DROP CONSTRAINT " + constraint(table)};
    case 1:
    case 2:
      return {alter + "ADD PRIMARY KEY (id)"};
    case 3:
      return {alter + "REPLICA IDENTITY FULL"};
    case 4:
      return {alter + "REPLICA IDENTITY DEFAULT"};
    case 5:
      return {alter + "REPLICA IDENTITY NOTHING"};
    case 6:
      return {"TRUNCATE " + table.name};
    default:
      if (!table.logged) return {alter + "SET LOGGED"};
      return {alter + "SET UNLOGGED", "UPDATE " + table.name + " SET id = id + 1000 WHERE id = 7",
              alter + "SET LOGGED"};
  }
}

ShapeStorm::Lines ShapeStorm::change_columns(const Table& table) {
  const std::string alter = "ALTER TABLE " + table.name + " ";
  const std::vector<Column> has = columns(table);
  if (has.size() > kMostColumns) return {alter + "DROP COLUMN " + one_of(has).name};
  if (has.empty()) return {alter + "ADD COLUMN " + fresh_name("c") + " " + some_type()};
  const Column& column = one_of(has);
  switch (random_.below(8)) {
    case 0:
    case 1:
      return {alter + "ADD COLUMN " + fresh_name("c") + " " + some_type()};
    case 2:
      return {alter + "ADD COLUMN " + fresh_name("c") + " text DEFAULT 'it''s'",
              alter + "ADD COLUMN " + fresh_name("c") + " int GENERATED ALWAYS AS (id * 2) STORED"};
    case 3:
      return {alter + "DROP COLUMN " + column.name};
    case 4:
      return {alter + "RENAME COLUMN " + column.name + " TO " + fresh_name("c")};
    case 5: {
      const Column& other = one_of(has);
      const std::string meanwhile = fresh_name("c");
      return {alter + "RENAME COLUMN " + column.name + " TO " + meanwhile,
              alter + "RENAME COLUMN " + other.name + " TO " + column.name,
              alter + "RENAME COLUMN " + meanwhile + " TO " + other.name};
    }
    case 6:
      if (column.type == "inet") return {alter + "ALTER COLUMN " + column.name + " TYPE cidr"};
      if (column.type == "cidr") return {alter + "ALTER COLUMN " + column.name + " TYPE inet"};
      return {alter + "ALTER COLUMN " + column.name + " TYPE " +
              (column.type == "integer" ? "bigint" : "text")};
    default:
      return {alter + "ALTER COLUMN " + column.name + " TYPE text USING md5(" + column.name +
              "::text)"};
  }
}

ShapeStorm::Lines ShapeStorm::change_types() {
  const support::Rows labels = query("SELECT enumlabel FROM pg_enum ORDER BY random() LIMIT 1");
  const std::string label = labels.empty() ? "red" : *labels[0][0];
  const support::Rows attributes = query(
      "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('c0') AND attnum > 0 "
      "AND NOT attisdropped AND attname NOT IN ('a') ORDER BY random() LIMIT 1");
  const std::string attribute = attributes.empty() ? "b" : *attributes[0][0];
  const std::vector<Table> all = tables();
  const std::string with = "ALTER TABLE " + one_of(all).name + " ADD COLUMN " + fresh_name("c");
  switch (random_.below(10)) {
    case 0:
      return {"ALTER TYPE e0 ADD VALUE '" + fresh_name("label") + "' BEFORE '" + label + "'"};
    case 1:
    case 2:
      return {"ALTER TYPE e0 RENAME VALUE '" + label + "' TO '" + fresh_name("label") + "'"};
    case 3:
      return {"DROP TYPE e0 CASCADE", "CREATE TYPE e0 AS ENUM ('one', 'two', 'three')",
              with + " e0"};
    case 4:
      return {"ALTER TYPE c0 ADD ATTRIBUTE " + fresh_name("f") + " int CASCADE"};
    case 5:
      return {"ALTER TYPE c0 DROP ATTRIBUTE " + attribute + " CASCADE"};
    case 6:
      return {"ALTER TYPE c0 RENAME ATTRIBUTE " + attribute + " TO " + fresh_name("f") +
              " CASCADE"};
    case 7: {
      const std::vector<std::string> bases = {"int", "bool", "text", "bigint"};
      return {"DROP DOMAIN d0 CASCADE", "CREATE DOMAIN d0 AS " + one_of(bases), with + " d0"};
    }
    case 8:
      return {"ALTER TYPE c0 RENAME TO c1", "CREATE TYPE c0 AS (a int, b text)", with + " c0"};
    default:
      return {"ALTER TYPE e0 RENAME TO " + fresh_name("old_e"), "CREATE TYPE e0 AS ENUM ('x', 'y')",
              with + " e0"};
  }
}

ShapeStorm::Lines ShapeStorm::change_partitions(const Table& table) {
  const support::Rows parts =
      query("SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = to_regclass('" +
            table.name + "') ORDER BY random() LIMIT 1");
  const std::string name = fresh_name("part");
  Lines attach = {
      "CREATE TABLE " + name + "(LIKE " + table.name + ")",
      "ALTER TABLE " + name + " ADD PRIMARY KEY (id)",
      "INSERT INTO " + name + "(id) VALUES (31), (32)",
      "ALTER TABLE " + table.name + " ATTACH PARTITION " + name + " FOR VALUES FROM (30) TO (40)"};
  if (parts.empty()) return attach;
  switch (random_.below(4)) {
    case 0:
      return attach;
    case 1:
      return {"DROP TABLE " + *parts[0][0]};
    case 2:
      return {"TRUNCATE " + *parts[0][0]};
    default:
      return {"ALTER TABLE " + table.name + " DETACH PARTITION " + *parts[0][0],
              "DROP TABLE " + *parts[0][0]};
  }
}

// ---- how it is run -----------------------------------------------------------------------------

void ShapeStorm::run_together(Lines lines) {
  if (random_.one_in(4)) {
    Lines undone = change_rows();
    append(undone, change_shape());
    undone.insert(undone.begin(), "SAVEPOINT s");
    undone.emplace_back("ROLLBACK TO s");
    lines.insert(lines.begin(), undone.begin(), undone.end());
  }
  lines.insert(lines.begin(), "BEGIN");
  lines.emplace_back(random_.one_in(6) ? "ROLLBACK" : "COMMIT");
  support::Session session = cluster_.session(database_);
  for (const std::string& line : lines) {
    done_ += line + ";\n";
    try {
      session.execute(line);
    } catch (const daystream::Error& e) {
      // The transaction ends here, unless that was in the part that is rolled back anyway.
      done_ += std::string("-- ") + e.what() + "\n";
    }
  }
}

void ShapeStorm::run_one_by_one(const Lines& lines, const std::function<void()>& between) {
  for (const std::string& line : lines) {
    between();
    done_ += line + ";\n";
    try {
      execute(line);
    } catch (const daystream::Error& e) {
      // As with psql: the next line comes all the same.
      done_ += std::string("-- ") + e.what() + "\n";
    }
  }
}

// As somebody does who brings back what was there.
void ShapeStorm::dump_and_restore() {
  const std::string file = (cluster_.data_dir() / ("storm" + tag_ + ".dump")).string();
  std::vector<std::string> arguments = {"--clean", "--if-exists", "-d",
                                        cluster_.conninfo(database_), file};
  if (random_.one_in(2)) arguments.insert(arguments.begin(), "--single-transaction");
  done_ += "-- pg_dump, pg_restore --clean\n";
  try {
    cluster_.run_tool("pg_dump",
                      {"-Fc", "-n", "public", "-f", file, "-d", cluster_.conninfo(database_)});
    cluster_.run_tool("pg_restore", arguments);
  } catch (const std::exception& e) {
    // Objects of the other schema may depend on what it would drop: then it does what it can.
    done_ += std::string("-- ") + e.what() + "\n";
  }
}

std::string ShapeStorm::step(const std::function<void()>& between) {
  done_.clear();
  last_.clear();
  if (random_.one_in(60)) {
    dump_and_restore();
    return done_;
  }
  Lines lines = change_rows();
  append(lines, change_shape());
  if (random_.one_in(3)) append(lines, change_shape());
  append(lines, change_rows());
  last_ = lines;
  run(std::move(lines), between);
  return done_;
}

ShapeStorm::Lines ShapeStorm::made_again() {
  const std::string name = one_of(wished());
  Lines out = {"DROP TABLE IF EXISTS " + name + " CASCADE"};
  append(out, create(name));
  out.push_back("INSERT INTO " + name + "(id) SELECT generate_series(1, 9)");
  return out;
}

std::string ShapeStorm::repeat(const Lines& lines, const std::function<void()>& between) {
  done_.clear();
  run(lines, between);
  return done_;
}

void ShapeStorm::run(Lines lines, const std::function<void()>& between) {
  if (random_.one_in(2)) {
    run_together(std::move(lines));
  } else {
    run_one_by_one(lines, between);
  }
}

}  // namespace fault
