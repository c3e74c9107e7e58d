#include "store/mirrored_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "daystream/error.h"
#include "filter/row_filter.h"
#include "model/joined.h"
#include "store/number_columns.h"

namespace deltamirror {

namespace {

using nlohmann::json;

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
                       {"type_oid", column.type_oid},
                       {"not_null", column.not_null}});
  }
  return {{"oid", shape.oid},
          {"line_name", shape.line_name},
          {"identity", std::string(1, shape.identity)},
          {"primary_key", shape.primary_key},
          {"identity_key", shape.identity_key},
          {"partitioning", static_cast<int>(table.partitions.kind)},
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
    shape.columns.push_back({column.at("attnum"), column.at("name"), column.at("type"),
                             column.at("not_null"), column.value("type_oid", std::uint32_t{0})});
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
    if (!column.asked.empty()) out.back()["asked"] = column.asked;
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
    made.asked = column.value("asked", "");
  }
  return out;
}

json options_json(const MirroredTable& table) {
  json out = json::object();
  if (table.is_shared()) out["source_column"] = table.source_column;
  if (!table.wish.prefix.empty()) out["prefix"] = table.wish.prefix;
  if (table.wish.name != table.name) out["wished_name"] = table.wish.name;
  if (table.seed.written_rows != table.seed.rows) out["written_rows"] = table.seed.written_rows;
  for (const auto& [oid, own] : table.partitions.rows) out["partitions"][std::to_string(oid)] = own;
  if (table.choice.where) out["where"] = table.choice.where->text(table.shape);
  if (table.mode != TableMode::Mirror) {
    const auto& [days, from, from_lsn] = table.kept;
    out["mode"] = mode_name(table.mode);
    out["keep_days"] = days;
    out["base"] = {{"c", from.c}, {"s", from.s}, {"lsn", from_lsn.text()}};
  }
  return out;
}

void take_options(MirroredTable& table, const json& options, const Database& db) {
  table.source_column = options.value("source_column", "");
  table.wish.prefix = options.value("prefix", "");
  table.wish.name = options.value("wished_name", table.name);
  table.seed.written_rows = options.value("written_rows", table.seed.rows);
  if (options.contains("where")) {
    TypeNames types = load_types(db, table.source);
    types.take(table.facts);  // what names meant when the table was last described
    table.choice.where =
        std::make_shared<RowFilter>(options["where"].get<std::string>(), table.shape, types);
  }
  const json partitions = options.value("partitions", json::object());
  for (const auto& [oid, rows] : partitions.items()) {
    table.partitions.rows[static_cast<std::uint32_t>(std::stoul(oid))] = rows;
  }
  if (!options.contains("mode")) return;
  table.mode = mode_named(options["mode"].get<std::string>());
  table.kept.days = options.at("keep_days");
  const json& base = options.at("base");
  table.kept.from = {base.at("c"), base.at("s")};
  table.kept.from_lsn =
      daystream::Lsn::parse(base.at("lsn").get<std::string>()).value_or(daystream::Lsn{});
}

constexpr std::string_view kStateNames[] = {"waiting", "copying", "following", "parked", "leaving"};

TableState state_named(std::string_view name) {
  const auto found = std::find(std::begin(kStateNames), std::end(kStateNames), name);
  if (found != std::end(kStateNames)) {
    return static_cast<TableState>(found - std::begin(kStateNames));
  }
  throw daystream::NeedsPerson(fmt::format("the mirror has a table in the state \"{}\"", name),
                               "use the program that made it, or seed it again");
}

// The name in the wish, or, of a table that nobody has asked for in words, its own.
QualifiedName wished_table(const MirroredTable& table) {
  if (table.is_static()) return {};
  const std::string asked =
      table.wish.text.empty() ? "" : json::parse(table.wish.text).value("table", std::string());
  return parse_table_name(asked.empty() ? daystream::unescape(table.shape.line_name) : asked);
}

// What a mirror says of itself; {} is its format.
constexpr const char* kCatalog = R"(
    CREATE TABLE _deltamirror_format(version INTEGER NOT NULL);
    INSERT INTO _deltamirror_format VALUES({});
    CREATE TABLE _deltamirror_tables(
      source TEXT NOT NULL,         -- the name of its database in this mirror
      name TEXT NOT NULL,
      source_table TEXT NOT NULL,   -- schema.table in PostgreSQL; empty: a static query result
      query TEXT NOT NULL,          -- what the seed ran; empty: the table itself
      oid INTEGER NOT NULL,
      columns TEXT NOT NULL,        -- JSON: SQLite columns and where they come from
      all_columns INTEGER NOT NULL,
      shape TEXT NOT NULL,          -- JSON: the table in PostgreSQL as last told
      indexes TEXT NOT NULL,        -- JSON
      snapshot TEXT NOT NULL,       -- pg_current_snapshot() of the seed
      consistent_at TEXT NOT NULL,  -- LSN from which on the table is at a commit
      timeline INTEGER NOT NULL,
      seeded_at TEXT NOT NULL,
      seeded_rows INTEGER NOT NULL,
      options TEXT NOT NULL,        -- JSON: which rows; of a history: its kind
      wish TEXT NOT NULL,           -- JSON: the table as it was asked for
      state TEXT NOT NULL,          -- waiting, copying, following, parked, leaving
      reason TEXT NOT NULL,         -- why it is not followed
      hint TEXT NOT NULL,           -- what helps
      since TEXT NOT NULL,          -- when the state began, UTC
      hidden INTEGER NOT NULL,      -- readers do not find it under its name
      set_aside TEXT NOT NULL,      -- JSON: SQL of others' indexes, triggers and views of it
      PRIMARY KEY(source, name)) WITHOUT ROWID;
    CREATE TABLE _deltamirror_types(
      source TEXT NOT NULL,
      name TEXT NOT NULL,
      base TEXT NOT NULL,
      PRIMARY KEY(source, name)) WITHOUT ROWID;
    CREATE TABLE _deltamirror_checkpoint(
      source TEXT PRIMARY KEY,
      c INTEGER NOT NULL,                  -- position of the last commit or mark applied
      s INTEGER NOT NULL,
      lsn TEXT NOT NULL,                   -- its LSN
      system_identifier TEXT NOT NULL,     -- of the PostgreSQL cluster
      database TEXT NOT NULL,
      timeline INTEGER NOT NULL,
      commit_time TEXT,                    -- of the last transaction applied, UTC
      applied_at TEXT NOT NULL,            -- when it was applied here, UTC
      consistent_at TEXT NOT NULL,         -- before it, a fresh seed is not at one commit
      directory TEXT NOT NULL,             -- the daystream's, or its URL, where it was last read
      complete_to TEXT NOT NULL            -- all that was committed before is here, UTC
      ) WITHOUT ROWID;
    CREATE TABLE _deltamirror_changes(
      source TEXT NOT NULL,
      oid INTEGER NOT NULL,     -- of the table, as in _deltamirror_tables
      at TEXT NOT NULL,         -- time of the last commit that changed it, UTC, to about a second
      lsn TEXT NOT NULL,
      PRIMARY KEY(source, oid)) WITHOUT ROWID;
    CREATE TABLE _deltamirror_errors(
      source TEXT PRIMARY KEY,
      at TEXT NOT NULL,         -- when the owner met it last, UTC
      message TEXT NOT NULL,
      hint TEXT NOT NULL,
      after_it INTEGER NOT NULL  -- 1: the owner tries again, 2: a person is needed
      ) WITHOUT ROWID;
    CREATE VIEW _deltamirror_status AS
      SELECT CASE WHEN options NOT LIKE '%"mode":"%' THEN name
                  ELSE substr(name, 1, length(name) - length('_seed')) END AS name,
             source, source_table,
             CASE source_table WHEN '' THEN 'static' ELSE state END AS state,
             reason, hint, since, hidden AS is_hidden, lsn, commit_time, complete_to
      FROM _deltamirror_tables JOIN _deltamirror_checkpoint USING(source);
  )";

}  // namespace

const MirrorColumn* column_of(const std::vector<MirrorColumn>& columns, int attnum) noexcept {
  for (const MirrorColumn& column : columns) {
    if (column.attnum == attnum) return &column;
  }
  return nullptr;
}

const SourceColumn* missing_of_key(const Shape& shape, const std::vector<MirrorColumn>& columns) {
  for (const int attnum : shape.row_key()) {
    if (column_of(columns, attnum) == nullptr) return shape.column(attnum);
  }
  return nullptr;
}

Value value_for(const MirrorColumn& column, std::string_view text, std::string& scratch) {
  try {
    return convert(column.type, text, scratch);
  } catch (const daystream::ProtocolError&) {
    if (column.type_override.empty()) throw;
    does_not_fit(column.name, column.type_override);
  }
}

std::vector<int> MirroredTable::key() const {
  std::vector<int> out;
  for (const int attnum : shape.row_key()) {
    const MirrorColumn* const found = column_of(columns, attnum);
    if (found == nullptr) return {};
    out.push_back(static_cast<int>(found - columns.data()));
  }
  if (is_shared() && !out.empty()) out.insert(out.begin(), 0);
  return out;
}

std::string state_name(TableState state) {
  return std::string(kStateNames[static_cast<std::size_t>(state)]);
}

void create_catalog(Database& db) {
  db.exec(fmt::format(kCatalog, kMirrorFormat));
}

void save_table(Database& db, const MirroredTable& table) {
  Statement insert = db.prepare(
      "INSERT OR REPLACE INTO _deltamirror_tables "
      "VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
  int at = 0;
  const auto bind = [&](const auto& value) { insert.bind(++at, value); };
  bind(table.source);
  bind(table.name);
  bind(table.source_table);
  bind(table.choice.query);
  bind(std::int64_t{table.shape.oid});
  bind(dump(columns_json(table.columns)));
  bind(std::int64_t{table.choice.all_columns});
  bind(dump(shape_json(table)));
  bind(dump(json(table.indexes)));
  bind(table.seed.snapshot.text());
  bind(table.seed.consistent_at.text());
  bind(std::int64_t{table.seed.timeline});
  bind(table.seed.at);
  bind(table.seed.rows);
  bind(dump(options_json(table)));
  bind(table.wish.text);
  bind(state_name(table.standing.state));
  bind(table.standing.reason);
  bind(table.standing.hint);
  bind(table.standing.since);
  bind(std::int64_t{table.standing.hidden});
  bind(dump(json(table.standing.set_aside)));
  insert.run();
}

void forget_table(Database& db, const std::string& source, const std::string& name) {
  Statement remove = db.prepare("DELETE FROM _deltamirror_tables WHERE source = ? AND name = ?");
  remove.bind(1, source);
  remove.bind(2, name);
  remove.run();
}

namespace {

// Of what load_tables() selects.
MirroredTable table_of(Statement& select, const Database& db) {
  MirroredTable table;
  table.source = select.text(0);
  table.name = select.text(1);
  table.source_table = select.text(2);
  table.choice.query = select.text(3);
  table.columns = columns_of(json::parse(select.text(4)));
  table.choice.all_columns = select.integer(5) != 0;
  const json shape = json::parse(select.text(6));
  table.shape = shape_of(shape);
  table.partitions.kind = static_cast<Partitioning>(shape.at("partitioning").get<int>());
  table.facts = shape.at("facts").get<ValueFacts>();
  table.indexes = json::parse(select.text(7)).get<std::vector<std::vector<std::string>>>();
  table.seed.snapshot = MvccSnapshot::parse(select.text(8));
  table.seed.consistent_at = daystream::Lsn::parse(select.text(9)).value_or(daystream::Lsn{});
  table.seed.timeline = static_cast<std::uint32_t>(select.integer(10));
  table.seed.at = select.text(11);
  table.seed.rows = select.integer(12);
  take_options(table, json::parse(select.text(13)), db);
  table.wish.text = select.text(14);
  table.wish.table = wished_table(table);
  table.standing.state = state_named(select.text(15));
  table.standing.reason = select.text(16);
  table.standing.hint = select.text(17);
  table.standing.since = select.text(18);
  table.standing.hidden = select.integer(19) != 0;
  table.standing.set_aside = json::parse(select.text(20)).get<std::vector<std::string>>();
  return table;
}

}  // namespace

void check_is_mirror(const Database& db) {
  if (!db.value("SELECT 1 FROM sqlite_schema WHERE name = '_deltamirror_format'")) {
    throw daystream::NeedsPerson(fmt::format("\"{}\" is not a mirror", db.path()),
                                 "name a mirror; \"deltamirror seed\" makes one, in a new file");
  }
  const std::string version = db.value("SELECT version FROM _deltamirror_format").value_or("none");
  if (version != std::to_string(kMirrorFormat)) {
    throw daystream::NeedsPerson(fmt::format("mirror \"{}\" has format {}, this program knows {}",
                                             db.path(), version, kMirrorFormat),
                                 "use the program that made it, or seed it again");
  }
}

std::vector<MirroredTable> load_tables(const Database& db) {
  check_is_mirror(db);
  std::vector<MirroredTable> tables;
  Statement select = db.prepare(
      "SELECT source, name, source_table, query, columns, all_columns, shape, indexes, snapshot, "
      "consistent_at, timeline, seeded_at, seeded_rows, options, wish, state, reason, hint, since, "
      "hidden, set_aside FROM _deltamirror_tables ORDER BY name, source");
  while (select.step()) {
    try {
      tables.push_back(table_of(select, db));
    } catch (const json::exception& e) {
      throw daystream::NeedsPerson(
          fmt::format("mirror \"{}\" does not say what table \"{}\" is: {}", db.path(),
                      select.text(1), e.what()),
          "another program has written to it: seed it again, or restore a snapshot");
    }
  }
  return tables;
}

std::vector<MirroredTable> load_tables_of(const Database& db, const std::string& source) {
  std::vector<MirroredTable> tables = load_tables(db);
  std::erase_if(tables, [&](const MirroredTable& table) { return table.source != source; });
  return tables;
}

void save_types(Database& db, const std::string& source, const TypeNames& types) {
  Statement insert = db.prepare("INSERT OR REPLACE INTO _deltamirror_types VALUES(?,?,?)");
  insert.bind(1, source);
  for (const auto& [name, base] : types.all()) {
    insert.bind(2, name);
    insert.bind(3, base);
    insert.run();
  }
}

TypeNames load_types(const Database& db, const std::string& source) {
  TypeNames types;
  Statement select = db.prepare("SELECT name, base FROM _deltamirror_types WHERE source = ?");
  select.bind(1, source);
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
  const std::vector<NumberColumn> numbers = number_columns(table);
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
    for (const NumberColumn& number : numbers) {
      if (number.of == column.name) sql += ", " + number.sql();
    }
  }
  if (!key.empty() && !rowid_key) {
    sql += ", PRIMARY KEY(" + key_list(table) + ")) WITHOUT ROWID";
  } else {
    sql += ")";
  }
  return sql;
}

// With its columns' names: a shared table may have more.
std::string column_list(const MirroredTable& table) {
  return joined(table.columns, ", ",
                [](const MirrorColumn& column) { return quote_name(column.name); });
}

namespace {

// `text_of`: of a column of the key, by its quoted name.
template <typename TextOf>
std::string of_key(const MirroredTable& table, std::string_view between, const TextOf& text_of) {
  return joined(table.key(), between,
                [&](int k) { return text_of(quote_name(table.columns[k].name)); });
}

}  // namespace

std::string key_list(const MirroredTable& table) {
  return of_key(table, ", ", [](const std::string& name) { return name; });
}

std::string key_equal(const MirroredTable& table) {
  return of_key(table, " AND ", [](const std::string& name) { return name + " = ?"; });
}

std::string key_equal(const MirroredTable& table, std::string_view a, std::string_view b) {
  return of_key(table, " AND ", [&](const std::string& name) {
    return fmt::format("{0}.{1} = {2}.{1}", a, name, b);
  });
}

std::string create_keys_sql(const MirroredTable& table, const std::string& as) {
  const std::string columns = joined(table.key(), ", ", [&](int k) {
    const MirrorColumn& column = table.columns[k];
    return fmt::format("{} {} NOT NULL", quote_name(column.name), column.type.declared());
  });
  return fmt::format("CREATE TEMP TABLE {}({}, PRIMARY KEY({})) WITHOUT ROWID", as, columns,
                     key_list(table));
}

std::string insert_sql(const MirroredTable& table) {
  return fmt::format("INSERT INTO {}({}) VALUES({})", quote_name(table.name), column_list(table),
                     question_marks(table.columns.size()));
}

std::string index_name(const std::string& table, const std::vector<std::string>& columns) {
  return fmt::format("{}_{}_idx", table, fmt::join(columns, "_"));
}

std::vector<std::string> create_index_sql(const MirroredTable& table) {
  return create_index_sql(table.name, table.indexes);
}

std::vector<std::string> create_index_sql(const std::string& table,
                                          const std::vector<std::vector<std::string>>& indexes) {
  std::vector<std::string> out;
  for (const std::vector<std::string>& columns : indexes) {
    out.push_back(create_index_sql(index_name(table, columns), table, columns));
  }
  return out;
}

std::string create_index_sql(const std::string& name, const std::string& table,
                             const std::vector<std::string>& columns) {
  return fmt::format("CREATE INDEX {} ON {}({})", quote_name(name), quote_name(table),
                     joined(columns, ", ", quote_name));
}

}  // namespace deltamirror
