#include "sql_presenter.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "calendar.h"
#include "daystream/error.h"
#include "program/quoted.h"

namespace daystream::command {

namespace {

// A comment must not end before its line does.
std::string in_comment(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return text;
}

// Types whose "=" is not there, or does not mean the same value: compared as text.
bool compares_as_text(std::string_view type) {
  static constexpr std::string_view kTypes[] = {
      "json", "xml", "point", "box", "path", "lseg", "circle", "polygon", "line", "txid_snapshot"};
  return std::find(std::begin(kTypes), std::end(kTypes), type) != std::end(kTypes);
}

const std::string* value_of(const std::vector<std::pair<std::string, std::string>>& columns,
                            std::string_view name) {
  const auto at = std::find_if(columns.begin(), columns.end(),
                               [&](const auto& column) { return column.first == name; });
  return at == columns.end() ? nullptr : &at->second;
}

std::vector<std::pair<std::string, std::string>> columns_of_table(std::string_view fields) {
  std::vector<std::pair<std::string, std::string>> columns;
  std::string_view name;
  std::string_view value;
  for (FieldCursor cursor(fields); cursor.next(name, value);) columns.emplace_back(name, value);
  return columns;
}

}  // namespace

void sql_name(std::string& out, std::string_view raw) {
  program::append_quoted(out, unescape(raw), '"');
}

void sql_value(std::string& out, std::string_view raw) {
  if (raw == kNull) {
    out += "NULL";
  } else if (raw.find('\\') == std::string_view::npos) {
    program::append_quoted(out, raw, '\'');
  } else {
    program::append_quoted(out, unescape(raw), '\'');
  }
}

std::string sql_table(std::string_view raw) {
  std::string table = unescape(raw);
  // It is quoted as SQL needs it; only a name in public has no schema. A dot inside quotes is not
  // the one between the two.
  bool in_quotes = false;
  for (const char c : table) {
    if (c == '"') in_quotes = !in_quotes;
    if (c == '.' && !in_quotes) return table;
  }
  return "public." + table;
}

// As the plugin wrote the values (docs/guarantees.md#the-line). Quotes in literals are the only
// escape.
void SqlPresenter::start(std::string& out) {
  out +=
      "SET client_encoding = 'UTF8';\n"
      "SET standard_conforming_strings = on;\n"
      "SET DateStyle = 'ISO';\n"
      "SET IntervalStyle = 'postgres';\n"
      "SET TimeZone = 'UTC';\n"
      "SET lc_monetary = 'C';\n";
}

const KnownTable* SqlPresenter::known(std::string_view table, Position at) {
  const KnownTable* found = book_.find(table);
  if (found != nullptr || looked_for_.contains(table)) return found;
  looked_for_.emplace(table);
  book_.look_back(stream_, at, table, source_);
  return book_.find(table);
}

void SqlPresenter::statement(std::string& out, const Transaction& of) {
  if (open_) return;
  open_ = true;
  const Change& end = of.end();
  out +=
      fmt::format("BEGIN;  -- {} xid {} lsn {} {}\n", of.position().text(), end.xid, end.lsn.text(),
                  end.time_us == 0 ? "" : utc_text(at_second(end.time_us / 1'000'000)));
}

void SqlPresenter::line(std::string& out, const Transaction& of, const Line& line) {
  const Change change = parse_change(line.body);
  statement(out, of);
  if (change.action != Action::Truncate) truncate(out);
  switch (change.action) {
    case Action::Insert:
      known(change.table, line.position);
      insert(out, change);
      break;
    case Action::Replace:
      old_ = columns_of_table(change.columns);
      break;
    case Action::Update:
      update(out, change, line.position);
      old_.reset();
      break;
    case Action::Delete:
      erase(out, change, line.position);
      break;
    case Action::Truncate:
      truncated_.push_back(sql_table(change.table));
      break;
    case Action::Rewrite:  // all rows of it follow
      out += fmt::format("DELETE FROM {};\n", sql_table(change.table));
      break;
    case Action::Schema:
      tell_shape(out, change);
      break;
    case Action::Drop:
      out += in_comment(fmt::format("-- {} was dropped",
                                    change.table.empty()
                                        ? fmt::format("table with oid {}", change.oid)
                                        : fmt::format("table {}", sql_table(change.table)))) +
             "\n";
      break;
    case Action::Message:
      out += in_comment(fmt::format("-- message: {}", change.columns)) + "\n";
      break;
    case Action::Oversize:
      leave_out(out, change, line.position, "the row is too large for a line");
      break;
    default:
      throw ProtocolError(
          fmt::format("a line of action \"{}\" inside a transaction", action_name(change.action)));
  }
}

void SqlPresenter::learn(const Line& line) {
  book_.learn(parse_change(line.body));
}

void SqlPresenter::end(std::string& out, const Transaction& of) {
  truncate(out);
  if (of.kind() == Transaction::Kind::Gap) {
    ++left_out_;
    out += fmt::format("-- {} gap: changes after LSN {} are missing\n", of.position().text(),
                       of.lsn().text());
  }
  if (open_) out += "COMMIT;\n";
  open_ = false;
  old_.reset();
}

void SqlPresenter::finish() {
  if (left_out_ == 0) return;
  throw NeedsPerson(
      fmt::format("{} change{} could not be written as SQL: see the comments \"left out\" "
                  "and \"gap\"",
                  left_out_, left_out_ == 1 ? "" : "s"),
      "give the tables a primary key, or REPLICA IDENTITY FULL");
}

void SqlPresenter::insert(std::string& out, const Change& change) {
  const Columns given = columns_of_table(change.columns);
  std::string names;
  std::string values;
  const auto add = [&](std::string_view name, std::string_view value) {
    if (!names.empty()) names += ", ";
    if (!values.empty()) values += ", ";
    sql_name(names, name);
    sql_value(values, value);
  };
  // An absent column is NULL, whatever its default is.
  const KnownTable* table = book_.find(change.table);
  const auto may_set = [table](const std::string& name) {
    return table == nullptr || !table->is_generated(name);
  };
  for (const auto& [name, value] : given) {
    if (may_set(name)) add(name, value);
  }
  if (table != nullptr) {
    for (const auto& [name, type] : table->columns) {
      if (value_of(given, name) == nullptr && may_set(name)) add(name, kNull);
    }
  }
  const std::string name = sql_table(change.table);
  if (names.empty()) {
    out += fmt::format("INSERT INTO {} DEFAULT VALUES;\n", name);
  } else {
    out += fmt::format("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({});\n", name, names,
                       values);
  }
}

// Only one of several equal rows is meant.
void SqlPresenter::where(std::string& out, const std::string& table, const KnownTable* known,
                         const Columns& old) const {
  const bool by_key =
      known != nullptr && !known->key.empty() &&
      std::all_of(known->key.begin(), known->key.end(),
                  [&](const std::string& name) { return value_of(old, name) != nullptr; });
  std::string conditions;
  for (const auto& [name, value] : old) {
    if (by_key && std::find(known->key.begin(), known->key.end(), name) == known->key.end())
      continue;
    if (!conditions.empty()) conditions += " AND ";
    sql_name(conditions, name);
    if (value == kNull) {
      conditions += " IS NULL";
      continue;
    }
    if (known != nullptr && compares_as_text(known->type_of(name))) conditions += "::text";
    conditions += " = ";
    sql_value(conditions, value);
  }
  if (by_key) {
    out += " WHERE " + conditions;
  } else {
    out += fmt::format(" WHERE (tableoid, ctid) = (SELECT tableoid, ctid FROM {} WHERE {} LIMIT 1)",
                       table, conditions);
  }
}

void SqlPresenter::update(std::string& out, const Change& change, Position at) {
  const KnownTable* table = known(change.table, at);
  const Columns values = columns_of_table(change.columns);
  Columns old;
  if (old_) {
    old = *old_;
  } else if (change.identity != "none" && table != nullptr) {
    // The key did not change.
    for (const std::string& name : table->key) {
      const std::string* value = value_of(values, name);
      if (value == nullptr) {
        old.clear();
        break;
      }
      old.emplace_back(name, *value);
    }
  }
  if (old.empty()) {
    leave_out(
        out, change, at,
        change.identity == "none" ? "the table has no key" : "no schema line has the table's key");
    return;
  }
  std::string changes;
  for (const auto& [name, value] : values) {
    const std::string* before = value_of(old, name);
    if (before != nullptr && *before == value) continue;
    if (table != nullptr && table->is_generated(name)) continue;
    if (!changes.empty()) changes += ", ";
    sql_name(changes, name);
    changes += " = ";
    sql_value(changes, value);
  }
  if (changes.empty()) return;  // nothing differs
  const std::string name = sql_table(change.table);
  out += fmt::format("UPDATE {} SET {}", name, changes);
  where(out, name, table, old);
  out += ";\n";
}

void SqlPresenter::erase(std::string& out, const Change& change, Position at) {
  const Columns old = columns_of_table(change.columns);
  if (old.empty()) {
    leave_out(out, change, at, "the table has no key");
    return;
  }
  const std::string name = sql_table(change.table);
  out += "DELETE FROM " + name;
  where(out, name, known(change.table, at), old);
  out += ";\n";
}

void SqlPresenter::truncate(std::string& out) {
  if (truncated_.empty()) return;
  out += fmt::format("TRUNCATE {};\n", fmt::join(truncated_, ", "));
  truncated_.clear();
}

void SqlPresenter::tell_shape(std::string& out, const Change& change) {
  book_.learn(change);
  const KnownTable& table = *book_.find(change.table);
  std::string shape = fmt::format("-- table {} is (", sql_table(change.table));
  for (const auto& [name, type] : table.columns) {
    if (&name != &table.columns.front().first) shape += ", ";
    sql_name(shape, name);
    shape += " " + unescape(type);
  }
  out += in_comment(shape + ")") + "\n";
}

void SqlPresenter::leave_out(std::string& out, const Change& change, Position at, const char* why) {
  ++left_out_;
  out += in_comment(fmt::format("-- left out: {} {} of {}: {}", at.text(),
                                action_name(change.action), sql_table(change.table), why)) +
         "\n";
}

}  // namespace daystream::command
