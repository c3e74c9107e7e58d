#include "store/mirrored_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "daystream/error.h"
#include "filter/row_filter.h"

namespace deltamirror {

namespace {

using nlohmann::json;

// 2: without `options`; read, and brought to 3 when a table is saved.
// 3: of one source.
// 4: of named sources: `source` is the first column of most tables.
constexpr int kMirrorFormat = 4;

// Throws where a name is not UTF-8, which only a SQL_ASCII database can have.
std::string dump(const json& value) {
  return value.dump();
}

json shape_json(const MirroredTable& table) {
  const Shape& shape = table.shape;
  json columns = json::array();
  for (const SourceColumn& column : shape.columns) {
    columns.push_back({{"attnum", column.attnum},
                       {"name", column.name},
                       {"type", column.type},
                       {"not_null", column.not_null}});
  }
  return {{"oid", shape.oid},
          {"line_name", shape.line_name},
          {"identity", std::string(1, shape.identity)},
          {"primary_key", shape.primary_key},
          {"identity_key", shape.identity_key},
          {"partitioning", static_cast<int>(table.partitioning)},
          {"facts", table.facts},
          {"columns", columns}};
}

Shape shape_of(const json& value) {
  Shape shape;
  shape.oid = value.at("oid");
  shape.line_name = value.at("line_name");
  shape.identity = value.at("identity").get<std::string>().at(0);
  shape.primary_key = value.at("primary_key").get<std::vector<int>>();
  shape.identity_key = value.at("identity_key").get<std::vector<int>>();
  for (const json& column : value.at("columns")) {
    shape.columns.push_back(
        {column.at("attnum"), column.at("name"), column.at("type"), column.at("not_null")});
  }
  return shape;
}

json columns_json(const std::vector<MirrorColumn>& columns) {
  json out = json::array();
  for (const MirrorColumn& column : columns) {
    out.push_back({{"attnum", column.attnum},
                   {"name", column.name},
                   {"kind", static_cast<int>(column.type.kind)},
                   {"array", column.type.array},
                   {"delimiter", std::string(1, column.type.delimiter)},
                   {"override", column.type_override}});
  }
  return out;
}

std::vector<MirrorColumn> columns_of(const json& value) {
  std::vector<MirrorColumn> out;
  for (const json& column : value) {
    MirrorColumn& made = out.emplace_back();
    made.attnum = column.at("attnum");
    made.name = column.at("name");
    made.type.kind = static_cast<Kind>(column.at("kind").get<int>());
    made.type.array = column.at("array");
    made.type.delimiter = column.at("delimiter").get<std::string>().at(0);
    made.type_override = column.at("override");
  }
  return out;
}

json options_json(const MirroredTable& table) {
  json out = json::object();
  if (table.is_shared()) out["source_column"] = table.source_column;
  if (!table.prefix.empty()) out["prefix"] = table.prefix;
  if (table.where) out["where"] = table.where->text(table.shape);
  if (table.mode != TableMode::Mirror) {
    out["mode"] = mode_name(table.mode);
    out["keep_days"] = table.keep_days;
    out["base"] = {{"c", table.base.c}, {"s", table.base.s}, {"lsn", table.base_lsn.text()}};
  }
  return out;
}

void take_options(MirroredTable& table, const json& options, const Database& db) {
  table.source_column = options.value("source_column", "");
  table.prefix = options.value("prefix", "");
  if (options.contains("where")) {
    table.where = std::make_shared<RowFilter>(options["where"].get<std::string>(), table.shape,
                                              load_types(db, table.source));
  }
  if (!options.contains("mode")) return;
  table.mode = mode_named(options["mode"].get<std::string>());
  table.keep_days = options.at("keep_days");
  const json& base = options.at("base");
  table.base = {base.at("c"), base.at("s")};
  table.base_lsn =
      daystream::Lsn::parse(base.at("lsn").get<std::string>()).value_or(daystream::Lsn{});
}

std::optional<std::string> format_of(const Database& db) {
  return db.value("SELECT version FROM _deltamirror_format");
}

// Mirrors of before there were subsets and histories.
void bring_to_format(Database& db) {
  if (format_of(db) != "2") return;
  db.exec(
      "ALTER TABLE _deltamirror_tables ADD COLUMN options TEXT NOT NULL DEFAULT '{}';"
      "UPDATE _deltamirror_format SET version = 3");
}

}  // namespace

std::vector<int> MirroredTable::key() const {
  std::vector<int> out;
  for (const int attnum : shape.row_key()) {
    const auto found = std::find_if(columns.begin(), columns.end(),
                                    [&](const MirrorColumn& c) { return c.attnum == attnum; });
    if (found == columns.end()) return {};
    out.push_back(static_cast<int>(found - columns.begin()));
  }
  if (is_shared() && !out.empty()) out.insert(out.begin(), 0);
  return out;
}

bool has_sources(const Database& db) {
  return format_of(db) == "4";
}

void require_one_source(const Database& db, const std::string& what) {
  if (!has_sources(db)) return;
  throw daystream::ConfigError(
      fmt::format("mirror \"{}\" is of named sources: {} is not for such mirrors", db.path(), what),
      "seed it again with another configuration");
}

void create_catalog(Database& db, Sources sources) {
  const bool named = sources == Sources::Named;
  db.exec(fmt::format(
      R"(
    CREATE TABLE _deltamirror_format(version INTEGER NOT NULL);
    INSERT INTO _deltamirror_format VALUES({});
    CREATE TABLE _deltamirror_tables({}
      name TEXT{},
      source_table TEXT NOT NULL,   -- schema.table in PostgreSQL; empty: a static query result
      query TEXT NOT NULL,          -- what the seed ran; empty: the table itself
      oid INTEGER NOT NULL,
      columns TEXT NOT NULL,        -- JSON: SQLite columns and where they come from
      all_columns INTEGER NOT NULL,
      shape TEXT NOT NULL,          -- JSON: the source table as last told
      indexes TEXT NOT NULL,        -- JSON
      snapshot TEXT NOT NULL,       -- pg_current_snapshot() of the seed
      consistent_at TEXT NOT NULL,  -- LSN from which on the table is at a commit
      timeline INTEGER NOT NULL,
      seeded_at TEXT NOT NULL,
      seeded_rows INTEGER NOT NULL,
      options TEXT NOT NULL{}) WITHOUT ROWID;  -- JSON: which rows; of a history: its kind
    CREATE TABLE _deltamirror_types({}name TEXT{}, base TEXT NOT NULL{}) WITHOUT ROWID;
    CREATE TABLE _deltamirror_checkpoint(
      source TEXT PRIMARY KEY,             -- its name, or, if there is but one, the daystream's
      c INTEGER NOT NULL,                  -- position of the last commit or mark applied
      s INTEGER NOT NULL,
      lsn TEXT NOT NULL,                   -- its LSN
      system_identifier TEXT NOT NULL,     -- of the PostgreSQL cluster
      database TEXT NOT NULL,
      timeline INTEGER NOT NULL,
      commit_time TEXT,                    -- of the last transaction applied, UTC
      applied_at TEXT NOT NULL,            -- when it was applied here, UTC
      consistent_at TEXT NOT NULL,         -- before it, a fresh seed is not at one commit
      directory TEXT NOT NULL,
      complete_to TEXT NOT NULL            -- all that was committed before is here, UTC
      ) WITHOUT ROWID;
  )",
      named ? 4 : 3, named ? "source TEXT NOT NULL," : "", named ? " NOT NULL" : " PRIMARY KEY",
      named ? ", PRIMARY KEY(source, name)" : "", named ? "source TEXT NOT NULL, " : "",
      named ? " NOT NULL" : " PRIMARY KEY", named ? ", PRIMARY KEY(source, name)" : ""));
}

void save_table(Database& db, const MirroredTable& table) {
  bring_to_format(db);
  const bool named = has_sources(db);
  Statement insert = db.prepare(fmt::format(
      "INSERT OR REPLACE INTO _deltamirror_tables VALUES({}?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,"
      "?13,?14)",
      named ? "?15," : ""));
  insert.bind(1, table.name);
  insert.bind(2, table.source_table);
  insert.bind(3, table.query);
  insert.bind(4, std::int64_t{table.shape.oid});
  insert.bind(5, dump(columns_json(table.columns)));
  insert.bind(6, std::int64_t{table.all_columns});
  insert.bind(7, dump(shape_json(table)));
  insert.bind(8, dump(json(table.indexes)));
  insert.bind(9, table.snapshot.text());
  insert.bind(10, table.consistent_at.text());
  insert.bind(11, std::int64_t{table.timeline});
  insert.bind(12, table.seeded_at);
  insert.bind(13, table.seeded_rows);
  insert.bind(14, dump(options_json(table)));
  if (named) insert.bind(15, table.source);
  insert.run();
}

void forget_table(Database& db, const std::string& source, const std::string& name) {
  const bool named = has_sources(db);
  Statement remove = db.prepare(fmt::format("DELETE FROM _deltamirror_tables WHERE name = ?{}",
                                            named ? " AND source = ?" : ""));
  remove.bind(1, name);
  if (named) remove.bind(2, source);
  remove.run();
}

std::vector<MirroredTable> load_tables(const Database& db) {
  if (!db.value("SELECT 1 FROM sqlite_schema WHERE name = '_deltamirror_format'")) {
    throw daystream::NeedsPerson(fmt::format("\"{}\" is not a mirror", db.path()),
                                 "make one with \"deltamirror seed\"");
  }
  const auto version = format_of(db);
  if (version != "2" && version != "3" && version != "4") {
    throw daystream::NeedsPerson(fmt::format("mirror \"{}\" has format {}, this program knows {}",
                                             db.path(), version.value_or("none"), kMirrorFormat),
                                 "use the program that made it, or seed it again");
  }
  std::vector<MirroredTable> tables;
  Statement select = db.prepare(fmt::format(
      "SELECT name, source_table, query, columns, all_columns, shape, indexes, snapshot, "
      "consistent_at, timeline, seeded_at, seeded_rows, {}, {} FROM _deltamirror_tables "
      "ORDER BY 1, 14",
      version == "2" ? "'{}'" : "options", version == "4" ? "source" : "''"));
  while (select.step()) {
    MirroredTable& table = tables.emplace_back();
    table.name = select.text(0);
    table.source_table = select.text(1);
    table.query = select.text(2);
    table.columns = columns_of(json::parse(select.text(3)));
    table.all_columns = select.integer(4) != 0;
    const json shape = json::parse(select.text(5));
    table.shape = shape_of(shape);
    table.partitioning = static_cast<Partitioning>(shape.value("partitioning", 0));
    table.facts = shape.value("facts", ValueFacts());
    table.indexes = json::parse(select.text(6)).get<std::vector<std::vector<std::string>>>();
    table.snapshot = Snapshot::parse(select.text(7));
    table.consistent_at = daystream::Lsn::parse(select.text(8)).value_or(daystream::Lsn{});
    table.timeline = static_cast<std::uint32_t>(select.integer(9));
    table.seeded_at = select.text(10);
    table.seeded_rows = select.integer(11);
    table.source = select.text(13);
    take_options(table, json::parse(select.text(12)), db);
  }
  return tables;
}

std::vector<MirroredTable> load_tables_of(const Database& db, const std::string& source) {
  std::vector<MirroredTable> tables = load_tables(db);
  std::erase_if(tables, [&](const MirroredTable& table) { return table.source != source; });
  return tables;
}

void save_types(Database& db, const std::string& source, const TypeNames& types) {
  const bool named = has_sources(db);
  Statement insert = db.prepare(
      fmt::format("INSERT OR REPLACE INTO _deltamirror_types VALUES({}?1,?2)", named ? "?3," : ""));
  if (named) insert.bind(3, source);
  for (const auto& [name, base] : types.all()) {
    insert.bind(1, name);
    insert.bind(2, base);
    insert.run();
  }
}

TypeNames load_types(const Database& db, const std::string& source) {
  const bool named = has_sources(db);
  TypeNames types;
  Statement select = db.prepare(
      fmt::format("SELECT name, base FROM _deltamirror_types{}", named ? " WHERE source = ?" : ""));
  if (named) select.bind(1, source);
  while (select.step()) types.add(select.text(0), select.text(1));
  return types;
}

// One integer key is the rowid; other keys cluster the table, so that a row costs one b-tree
// descent. No UNIQUE beyond the key: SQLite checks it row by row, so a deferred swap would fail.
std::string create_table_sql(const MirroredTable& table, const std::string& as) {
  const std::vector<int> key = table.key();
  const auto is_key = [&](int i) { return std::find(key.begin(), key.end(), i) != key.end(); };
  const bool rowid_key =
      key.size() == 1 && table.columns[key[0]].type == ColumnType{.kind = Kind::Integer};
  std::string sql = "CREATE TABLE " + quote_name(as) + "(";
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const MirrorColumn& column = table.columns[i];
    if (i != 0) sql += ", ";
    sql += quote_name(column.name);
    sql += ' ';
    sql += column.type.declared();
    if (rowid_key && static_cast<int>(i) == key[0]) {
      sql += " PRIMARY KEY NOT NULL";
    } else if (is_key(static_cast<int>(i))) {
      sql += " NOT NULL";
    }
  }
  if (!key.empty() && !rowid_key) {
    sql += ", PRIMARY KEY(";
    for (std::size_t i = 0; i < key.size(); ++i) {
      if (i != 0) sql += ", ";
      sql += quote_name(table.columns[key[i]].name);
    }
    sql += ")) WITHOUT ROWID";
  } else {
    sql += ")";
  }
  return sql;
}

// With its columns' names: a shared table may have more.
std::string column_list(const MirroredTable& table) {
  std::string out;
  for (const MirrorColumn& column : table.columns) {
    out += (out.empty() ? "" : ", ") + quote_name(column.name);
  }
  return out;
}

std::string insert_sql(const MirroredTable& table) {
  return fmt::format("INSERT INTO {}({}) VALUES({})", quote_name(table.name), column_list(table),
                     question_marks(table.columns.size()));
}

std::string index_name(const MirroredTable& table, const std::vector<std::string>& columns) {
  std::string name = table.name;
  for (const std::string& column : columns) name += "_" + column;
  return name + "_idx";
}

std::vector<std::string> create_index_sql(const MirroredTable& table) {
  std::vector<std::string> out;
  for (const std::vector<std::string>& columns : table.indexes) {
    std::string list;
    for (const std::string& column : columns) {
      if (!list.empty()) list += ", ";
      list += quote_name(column);
    }
    out.push_back(fmt::format("CREATE INDEX {} ON {}({})", quote_name(index_name(table, columns)),
                              quote_name(table.name), list));
  }
  return out;
}

}  // namespace deltamirror
