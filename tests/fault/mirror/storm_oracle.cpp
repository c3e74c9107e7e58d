#include "storm_oracle.h"

#include <algorithm>
#include <set>
#include <utility>

#include "support/process.h"

namespace fault {

namespace {

using Strings = std::vector<std::string>;

std::string joined(const Strings& lines, std::size_t most = 12) {
  std::string out;
  for (std::size_t i = 0; i < lines.size() && i < most; ++i) out += "  " + lines[i] + "\n";
  return out;
}

}  // namespace

StormOracle::StormOracle(support::Cluster& cluster, std::vector<StormSource> sources,
                         std::map<std::string, std::string> called)
    : cluster_(cluster), sources_(std::move(sources)), called_(std::move(called)) {}

void StormOracle::forget() {
  fresh_.clear();
  std::filesystem::remove_all(dir_ / "fresh");
}

StormOracle::Content StormOracle::content(support::SqliteReader& reader, const std::string& table) {
  Content out;
  for (const support::Row& row :
       reader.query("SELECT name, type, pk, \"notnull\" FROM pragma_table_info('" + table + "')")) {
    out.columns.push_back({*row[0], *row[1], std::stoi(*row[2]), *row[3] == "1"});
  }
  if (out.columns.empty()) return {.followable = false, .columns = {}, .rows = {}};
  out.rows = rows(reader, table, out.columns, "");
  return out;
}

Strings StormOracle::rows(support::SqliteReader& reader, const std::string& table,
                          const std::vector<Column>& columns, const std::string& where) {
  std::string names;
  for (const Column& column : columns) {
    names += (names.empty() ? "" : ", ") + ("\"" + column.name + "\"");
  }
  Strings out;
  for (const support::Row& row :
       reader.query("SELECT " + names + " FROM \"" + table + "\"" + where + " ORDER BY " + names)) {
    std::string text;
    for (const auto& cell : row) text += "|" + cell.value_or("null");
    out.push_back(text);
  }
  return out;
}

StormOracle::Tables StormOracle::tables(support::SqliteReader& reader, const StormSource& source) {
  const std::string own = source.name.empty() ? "" : " WHERE source = '" + source.name + "'";
  Tables out;
  for (const support::Row& row : reader.query(
           "SELECT source_table, name, state, reason, hint FROM _deltamirror_tables" + own)) {
    out.emplace(*row[0], Table{.name = *row[1],
                               .state = *row[2],
                               .reason = row[3].value_or(""),
                               .hint = row[4].value_or("")});
  }
  return out;
}

StormOracle::Missing StormOracle::missing(const std::filesystem::path& mirror) {
  support::SqliteReader reader(mirror);
  Missing out;
  for (const support::Row& row : reader.query(
           "SELECT source, name FROM _deltamirror_tables WHERE state IN ('parked', 'copying')")) {
    out.emplace_back(*row[0], *row[1]);
  }
  return out;
}

std::string StormOracle::states(support::SqliteReader& reader) {
  Strings out;
  for (const support::Row& row :
       reader.query("SELECT source, name, source_table, state, reason FROM _deltamirror_tables")) {
    out.push_back(*row[0] + " " + *row[1] + " of " + *row[2] + ": " + *row[3] + " (" + *row[4] +
                  ")");
  }
  return joined(out, 40);
}

// What has lost its key is followed until a row of it changes, and then its rows alone can be had.
const StormOracle::Content& StormOracle::fresh(const StormSource& source,
                                               const std::string& table) {
  const std::pair<std::string, std::string> key(source.name, table);
  const auto found = fresh_.find(key);
  if (found != fresh_.end()) return found->second;
  Content made;
  if (!seed_one(source, {"--table", table}, made)) {
    if (!seed_one(source, {"--query", "SELECT * FROM " + table}, made)) made = {};
    made.followable = false;
  }
  return fresh_.emplace(key, std::move(made)).first->second;
}

bool StormOracle::seed_one(const StormSource& source, const Strings& what, Content& made) {
  std::filesystem::create_directories(dir_ / "fresh");
  const auto file = dir_ / "fresh" / (std::to_string(++seeds_) + ".db");
  Strings argv = {support::program("deltamirror"),    "seed",        file,         "-d",
                  cluster_.conninfo(source.database), "--daystream", source.stream};
  argv.insert(argv.end(), what.begin(), what.end());
  argv.insert(argv.end(), {"--as", "t"});
  if (!support::run(argv).ok()) return false;
  support::SqliteReader reader(file);
  made = content(reader, "t");
  return true;
}

// Whether rows of both may stand in one table: it has one key, and a column has one type.
bool StormOracle::fit(const Content& one, const Content& other) {
  const auto key = [](const Content& content) {
    std::map<int, std::string> out;
    for (const Column& column : content.columns) {
      if (column.key != 0) out.emplace(column.key, column.name + " " + column.type);
    }
    return out;
  };
  if (key(one) != key(other)) return false;
  return std::all_of(one.columns.begin(), one.columns.end(), [&](const Column& column) {
    return std::all_of(other.columns.begin(), other.columns.end(), [&](const Column& has) {
      return has.name != column.name || has.type == column.type;
    });
  });
}

std::string StormOracle::difference_of(support::SqliteReader& reader, const StormSource& source,
                                       const std::string& table, const std::string& name) {
  const Content& wanted = fresh(source, table);
  const Content there = content(reader, name);
  const std::string what = source.name + " " + table;
  // One that has no column is no table: rows() would have nothing to ask for.
  if (there.columns.empty() || wanted.columns.empty()) {
    return there.columns.empty() == wanted.columns.empty() ? "" : what + " is there on one side";
  }
  if (source.name.empty()) {
    if (there.rows != wanted.rows) {
      return what + " is\n" + joined(there.rows) + "and not\n" + joined(wanted.rows);
    }
    return !wanted.followable || there.columns == wanted.columns ? "" : what + " has another shape";
  }
  std::string strange;  // columns of the others: they are NULL here
  for (const Column& column : there.columns) {
    const auto same = std::find_if(wanted.columns.begin(), wanted.columns.end(),
                                   [&](const Column& c) { return c.name == column.name; });
    if (same == wanted.columns.end() && column.name != "shard") {
      strange += " OR \"" + column.name + "\" IS NOT NULL";
    }
    if (same != wanted.columns.end() && wanted.followable && same->type != column.type) {
      return what + ": column " + column.name + " is " + column.type + ", not " + same->type;
    }
  }
  for (const Column& column : wanted.columns) {
    if (std::none_of(there.columns.begin(), there.columns.end(),
                     [&](const Column& c) { return c.name == column.name; })) {
      return what + " lacks the column " + column.name;
    }
  }
  const std::string own = " WHERE shard = '" + source.name + "'";
  const Strings is = rows(reader, name, wanted.columns, own);
  if (is != wanted.rows) {
    return what + " is\n" + joined(is) + "and not\n" + joined(wanted.rows);
  }
  if (!strange.empty() && reader.scalar("SELECT count(*) FROM \"" + name + "\"" + own +
                                        " AND (false" + strange + ")") != "0") {
    return what + " has values in columns that it does not have";
  }
  return {};
}

// Another source has rows in the table that those of this one cannot stand beside.
bool StormOracle::does_not_fit(support::SqliteReader& reader, const StormSource& source,
                               const std::string& table, const std::string& name) {
  const Content& own = fresh(source, table);
  for (const StormSource& other : sources_) {
    if (other.name == source.name) continue;
    for (const auto& [their, has] : tables(reader, other)) {
      if (has.name != name || has.state != "following") continue;
      const Content& content = fresh(other, their);
      if (!content.followable || !fit(own, content)) return true;
    }
  }
  return false;
}

// Each table that is wished for and can be followed is, under its name, or it is said why not.
std::string StormOracle::lack(support::SqliteReader& reader, const StormSource& source,
                              bool copies) {
  const Tables has = tables(reader, source);
  for (const auto& [table, name] : called_) {
    if (!fresh(source, table).followable) continue;
    const auto found = has.find(table);
    const std::string what = source.name + " " + table;
    if (found == has.end()) return "it does not know " + what;
    const Table& is = found->second;
    if (is.state == "following") {
      if (is.name != name) return what + " is called " + is.name;
      continue;
    }
    const bool is_said = is.state == "parked" && !is.reason.empty() && !is.hint.empty();
    if (is_said && !copies) continue;
    if (is_said && does_not_fit(reader, source, table, name)) continue;
    return "it lacks " + what;
  }
  return {};
}

// Nobody reads what is not followed.
std::string StormOracle::surplus(support::SqliteReader& reader) {
  std::map<std::string, std::set<std::string>> followed;  // the sources of each table
  for (const StormSource& source : sources_) {
    for (const auto& [table, has] : tables(reader, source)) {
      if (has.state == "following") followed[has.name].insert(source.name);
    }
  }
  for (const support::Row& row :
       reader.query("SELECT name FROM sqlite_schema WHERE type = 'table' AND "
                    "substr(name, 1, 13) <> '_deltamirror_' AND substr(name, 1, 7) <> 'sqlite_'")) {
    const auto found = followed.find(*row[0]);
    if (found == followed.end()) return "it has " + *row[0];
    if (sources_.size() == 1) continue;
    for (const support::Row& shard :
         reader.query("SELECT DISTINCT shard FROM \"" + *row[0] + "\"")) {
      if (!found->second.contains(*shard[0])) return *row[0] + " has rows of " + *shard[0];
    }
  }
  return {};
}

std::string StormOracle::difference(const std::filesystem::path& mirror, bool copies) {
  support::SqliteReader reader(mirror);
  std::string out;
  for (const StormSource& source : sources_) {
    for (const auto& [table, has] : tables(reader, source)) {
      if (has.state != "following" || !out.empty()) continue;
      out = difference_of(reader, source, table, has.name);
    }
    if (out.empty()) out = lack(reader, source, copies);
  }
  if (out.empty()) out = surplus(reader);
  return out.empty() ? out : out + "\n" + states(reader);
}

}  // namespace fault
