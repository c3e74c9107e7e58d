#include "history/history_tables.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <ctime>
#include <set>

#include "model/names.h"
#include "src/calendar.h"
#include "store/shared_table.h"

namespace deltamirror {

namespace {

constexpr std::string_view kDaysSuffix = "_seed";
// SQLite takes 500 in one SELECT.
constexpr std::size_t kMostTogether = 200;

constexpr const char* kLogColumns[] = {"_c", "_s", "_lsn", "_time", "_action", "_unchanged"};
constexpr const char* kDayColumns[] = {"_day", "_c", "_s", "_lsn", "_time", "_action"};

bool is_log(const MirroredTable& history) {
  return history.mode == TableMode::History;
}

std::vector<std::string> own_columns(const MirroredTable& history) {
  return is_log(history) ? std::vector<std::string>(std::begin(kLogColumns), std::end(kLogColumns))
                         : std::vector<std::string>(std::begin(kDayColumns), std::end(kDayColumns));
}

std::vector<std::string> columns_of(const Database& db, const std::string& table) {
  Statement select = db.prepare("SELECT name FROM pragma_table_info(?)");
  select.bind(1, table);
  std::vector<std::string> out;
  while (select.step()) out.push_back(select.text(0));
  return out;
}

void make_list(Database& db) {
  db.exec(
      "CREATE TABLE IF NOT EXISTS _deltamirror_history(base TEXT NOT NULL, day TEXT NOT NULL, "
      "name TEXT NOT NULL, PRIMARY KEY(base, day)) WITHOUT ROWID");
}

// Oldest first.
std::vector<std::pair<std::string, std::string>> days_of(const Database& db,
                                                         const MirroredTable& history) {
  std::vector<std::pair<std::string, std::string>> out;
  Statement select =
      db.prepare("SELECT day, name FROM _deltamirror_history WHERE base = ? ORDER BY day");
  select.bind(1, history.name);
  while (select.step()) out.emplace_back(select.text(0), select.text(1));
  return out;
}

// What a row of the beginning has in the columns that each row of a history has.
std::string base_facts(const MirroredTable& history) {
  const std::string place = fmt::format(
      "{} AS _c, {} AS _s, {} AS _lsn, {} AS _time, 'seed' AS _action", history.kept.from.c,
      history.kept.from.s, quote_text(history.kept.from_lsn.text()), quote_text(history.seed.at));
  return is_log(history) ? place + ", NULL AS _unchanged"
                         : quote_text(day_of(history.kept.from.c)) + " AS _day, " + place;
}

}  // namespace

std::string base_name(const std::string& shown) {
  return shown + std::string(kDaysSuffix);
}

std::string shown_name(const std::string& base) {
  return base.substr(0, base.size() - kDaysSuffix.size());
}

std::string shown_name(const MirroredTable& table) {
  return table.mode == TableMode::Mirror ? table.name : shown_name(table.name);
}

std::string shown_wish(const MirroredTable& table) {
  return table.mode == TableMode::Mirror ? table.wish.name : shown_name(table.wish.name);
}

std::string days_name(const MirroredTable& history) {
  return shown_name(history) + "_days";
}

std::string day_of(std::int64_t c) {
  return daystream::day_text(daystream::day_number(c));
}

std::string day_before(const std::string& day, int days) {
  return daystream::day_text(daystream::parse_day(day).value_or(0) - days);
}

void check_history(const MirroredTable& history) {
  for (const std::string& own : own_columns(history)) {
    for (const MirrorColumn& column : history.columns) {
      if (folded(column.name) != own) continue;
      throw daystream::ConfigError(
          fmt::format("a history has a column \"{}\" of its own, and so has table {}", own,
                      history.source_table),
          "call it otherwise with \"rename\", or leave it out with \"columns\"");
    }
  }
  if (is_log(history) || !history.key().empty()) return;
  throw daystream::ConfigError(fmt::format("table {} has no key", history.source_table),
                               "\"latest-per-day\" needs one: \"history\" does not");
}

std::vector<std::string> add_columns(Database& db, const MirroredTable& history,
                                     const std::string& table) {
  std::set<std::string> there;
  for (const std::string& name : columns_of(db, table)) there.insert(folded(name));
  std::vector<std::string> added;
  for (const MirrorColumn& column : history.columns) {
    if (!there.insert(folded(column.name)).second) continue;
    db.exec(
        fmt::format("ALTER TABLE {} ADD COLUMN {}", quote_name(table), quote_name(column.name)));
    added.push_back(column.name);
  }
  return added;
}

bool make_day(Database& db, const MirroredTable& history, const std::string& day,
              std::string& name) {
  for (const auto& [known, table] : days_of(db, history)) {
    if (known != day) continue;
    name = table;
    return false;
  }
  std::string digits = day;
  std::erase(digits, '-');
  name = shown_name(history) + "_" + digits;
  db.exec(fmt::format("CREATE TABLE {}({}, {})", quote_name(name),
                      fmt::join(own_columns(history), ", "), column_list(history)));
  for (const std::string& sql : create_index_sql(name, history.indexes)) db.exec(sql);
  Statement insert = db.prepare("INSERT INTO _deltamirror_history VALUES(?,?,?)");
  insert.bind(1, history.name);
  insert.bind(2, day);
  insert.bind(3, name);
  insert.run();
  return true;
}

void make_view(Database& db, const MirroredTable& history) {
  std::vector<std::string> tables = {history.name};
  if (is_log(history)) {
    for (const auto& [day, name] : days_of(db, history)) tables.push_back(name);
  } else {
    tables.push_back(days_name(history));
  }
  // A column that some table lacks was not there then.
  std::vector<std::string> all;
  std::set<std::string> own;
  for (const std::string& name : own_columns(history)) own.insert(name);
  std::vector<std::set<std::string>> has;
  std::set<std::string> known = own;
  for (const std::string& table : tables) {
    auto& here = has.emplace_back();
    for (const std::string& column : columns_of(db, table)) {
      here.insert(folded(column));
      if (known.insert(folded(column)).second) all.push_back(column);
    }
  }
  std::vector<std::string> selects;
  for (std::size_t i = 0; i < tables.size(); ++i) {
    std::string list =
        i == 0 ? base_facts(history) : fmt::format("{}", fmt::join(own_columns(history), ", "));
    for (const std::string& column : all) {
      list += has[i].contains(folded(column)) ? ", " + quote_name(column)
                                              : ", NULL AS " + quote_name(column);
    }
    selects.push_back(fmt::format("SELECT {} FROM {} b", list, quote_name(tables[i])));
  }
  if (!is_log(history)) {
    selects[0] +=
        fmt::format(" WHERE NOT EXISTS (SELECT 1 FROM {} d WHERE d._day = {} AND {})",
                    quote_name(days_name(history)), quote_text(day_of(history.kept.from.c)),
                    key_equal(history, "d", "b"));
  }
  std::string sql;
  for (std::size_t begin = 0; begin < selects.size(); begin += kMostTogether) {
    const auto first = selects.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto last = selects.begin() +
                      static_cast<std::ptrdiff_t>(std::min(begin + kMostTogether, selects.size()));
    const std::string together = fmt::format("{}", fmt::join(first, last, " UNION ALL "));
    if (!sql.empty()) sql += " UNION ALL ";
    sql += selects.size() <= kMostTogether ? together : "SELECT * FROM (" + together + ")";
  }
  const std::string view = quote_name(shown_name(history));
  db.exec(fmt::format("DROP VIEW IF EXISTS {0}; CREATE VIEW {0} AS {1}", view, sql));
}

void begin_history(Database& db, const MirroredTable& history) {
  make_list(db);
  if (!is_log(history)) {
    const std::string days = quote_name(days_name(history));
    const std::string key = key_list(history);
    db.exec(
        fmt::format("CREATE TABLE IF NOT EXISTS {}({}, {}, PRIMARY KEY({}, _day)) WITHOUT ROWID",
                    days, fmt::join(own_columns(history), ", "), column_list(history), key));
    add_columns(db, history, days_name(history));
    // Begun again: what is there at the end of that day, the beginning has; what is not there any
    // more has gone.
    const std::string day = quote_text(day_of(history.kept.from.c));
    const std::string base = quote_name(history.name);
    db.exec(
        fmt::format("DELETE FROM {0} AS d WHERE _day >= {1} AND EXISTS (SELECT 1 FROM {2} b "
                    "WHERE {3})",
                    days, day, base, key_equal(history, "d", "b")));
    db.exec(fmt::format(
        "INSERT OR REPLACE INTO {0}(_day, _c, _s, _lsn, _time, _action, {1}) SELECT {2}, {3}, {4}, "
        "{5}, {6}, 'delete', {1} FROM (SELECT {1}, _action, max(_day) FROM {0} GROUP BY {1}) d "
        "WHERE _action NOT IN ('delete', 'truncate', 'drop') AND NOT EXISTS (SELECT 1 FROM {7} b "
        "WHERE {8})",
        days, key, day, history.kept.from.c, history.kept.from.s,
        quote_text(history.kept.from_lsn.text()), quote_text(history.seed.at), base,
        key_equal(history, "d", "b")));
  }
  make_view(db, history);
}

bool expire(Database& db, const MirroredTable& history, const std::string& day) {
  if (history.kept.days == 0) return false;
  const std::string first = day_before(day, history.kept.days);
  if (!is_log(history)) {
    const std::string days = quote_name(days_name(history));
    // But each row's newest: what does not change any more is still there.
    db.exec(
        fmt::format("DELETE FROM {0} AS d WHERE _day < {1} AND EXISTS (SELECT 1 FROM {0} n "
                    "WHERE {2} AND n._day > d._day)",
                    days, quote_text(first), key_equal(history, "n", "d")));
    return false;
  }
  bool gone = false;
  for (const auto& [old, name] : days_of(db, history)) {
    if (old >= first) continue;
    db.exec("DROP TABLE " + quote_name(name));
    db.exec(fmt::format("DELETE FROM _deltamirror_history WHERE base = {} AND day = {}",
                        quote_text(history.name), quote_text(old)));
    gone = true;
  }
  if (day_of(history.kept.from.c) < first) db.exec("DELETE FROM " + quote_name(history.name));
  return gone;
}

namespace {

// And all else that the mirror has of it.
void remove_rows(Database& db, const MirroredTable& table) {
  if (table.mode != TableMode::Mirror) {
    db.exec("DROP VIEW IF EXISTS " + quote_name(shown_name(table)));
    make_list(db);
    for (const auto& [day, name] : days_of(db, table)) db.exec("DROP TABLE " + quote_name(name));
    db.exec("DELETE FROM _deltamirror_history WHERE base = " + quote_text(table.name));
    db.exec("DROP TABLE IF EXISTS " + quote_name(days_name(table)));
  }
  drop_own(db, table);
}

}  // namespace

void remove_mirrored(Database& db, const MirroredTable& table) {
  forget_table(db, table.source, table.name);
  if (!table.standing.hidden) remove_rows(db, table);
  if (!table.is_shared()) return;
  const std::vector<MirroredTable> beside = wished_beside(load_tables(db), table);
  if (beside.empty() || !has_table(db, table.name)) return;
  const std::string stay = drop_unused_columns(db, beside, table.indexes);
  if (!stay.empty()) spdlog::warn("table {}: {}", table.name, stay);
}

}  // namespace deltamirror
