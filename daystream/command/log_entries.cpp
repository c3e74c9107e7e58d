#include "log_entries.h"

#include <fmt/format.h>
#include <unistd.h>

#include <iterator>

#include "calendar.h"
#include "format.h"

namespace daystream::command {

namespace {

Columns of_those(const Columns& from, const Columns& names) {
  Columns some;
  for (const auto& [name, value] : from) {
    if (names.contains(name)) some.emplace(name, value);
  }
  return some;
}

std::string time_of(const Transaction& transaction) {
  const std::int64_t time_us = transaction.end().time_us;
  return utc_text(at_second(time_us == 0 ? transaction.position().c : time_us / 1'000'000));
}

}  // namespace

LogEntries::LogEntries(bool json) : json_(json), output_(STDOUT_FILENO) {}

void LogEntries::show(const Transaction& transaction, Position at, Action action,
                      const RowChange& change) {
  if (json_) {
    json_entry(transaction, at, action, change);
  } else {
    text_entry(transaction, at, action, change);
  }
  output_.written();
}

void LogEntries::json_entry(const Transaction& transaction, Position at, Action action,
                            const RowChange& change) {
  std::string& out = output_.buffer();
  const auto& end = transaction.end();
  fmt::format_to(std::back_inserter(out),
                 "{{\"time\":\"{}\",\"xid\":{},\"lsn\":\"{}\",\"c\":{},\"s\":{},"
                 "\"action\":\"{}\",\"key\":",
                 time_of(transaction), end.xid, end.lsn.text(), at.c, at.s, action_name(action));
  json_columns(change.key);
  out += ",\"old\":";
  json_columns(of_those(change.before, action == Action::Delete ? change.before : change.changed));
  out += ",\"new\":";
  json_columns(change.changed);
  out += "}\n";
}

void LogEntries::text_entry(const Transaction& transaction, Position at, Action action,
                            const RowChange& change) {
  std::string& out = output_.buffer();
  fmt::format_to(std::back_inserter(out), "{}  xid {}  {}  {}\n", time_of(transaction),
                 transaction.end().xid, at.text(), action_name(action));
  if (action == Action::Delete) {
    for (const auto& [name, value] : change.before)
      fmt::format_to(std::back_inserter(out), "    {}  {} →\n", name, value);
  }
  for (const auto& [name, value] : change.changed) {
    const auto old = change.before.find(name);
    out += "    " + name + "  ";
    if (old != change.before.end()) out += old->second + " ";
    out += "→ " + value + "\n";
  }
}

void LogEntries::json_columns(const Columns& columns) {
  std::string& out = output_.buffer();
  out += '{';
  bool first = true;
  for (const auto& [name, value] : columns) {
    if (!first) out += ',';
    first = false;
    json_raw(out, name);
    out += ':';
    json_raw(out, value);
  }
  out += '}';
}

}  // namespace daystream::command
