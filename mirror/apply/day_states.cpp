#include "apply/day_states.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "apply/row_reader.h"
#include "apply/table_plan.h"
#include "history/history_tables.h"
#include "store/checkpoint.h"

namespace deltamirror {

using daystream::Action;
using daystream::Change;

namespace {

constexpr int kOwnColumns = 6;  // before the row's

class DayStates : public HistoryWriter {
 public:
  DayStates(Database& db, const MirroredTable& history)
      : db_(db),
        history_(history),
        days_(quote_name(days_name(history))),
        base_day_(day_of(history.kept.from.c)),
        key_(history.key()),
        reader_(history),
        old_(history.columns.size()),
        new_(history.columns.size()) {
    came_ = add_columns(db, history, days_name(history));
    if (!came_.empty()) make_view(db, history);
    std::string marks;
    for (const MirrorColumn& column : history.columns) {
      columns_ += ", " + quote_name(column.name);
      marks += ",?";
    }
    const std::string equal = key_equal(history);
    write_ =
        db.prepare(fmt::format("INSERT OR REPLACE INTO {}(_day, _c, _s, _lsn, _time, _action{}) "
                               "VALUES(?,?,?,?,?,?{})",
                               days_, columns_, marks));
    latest_ =
        db.prepare(fmt::format("SELECT _day, _action{} FROM {} WHERE {} ORDER BY _day DESC LIMIT 1",
                               columns_, days_, equal));
    std::string of_base;
    for (const MirrorColumn& column : history.columns) of_base += ", " + in_base(column.name);
    beginning_ = db.prepare(fmt::format("SELECT NULL, NULL{} FROM {} WHERE {}", of_base,
                                        quote_name(history.name), equal));
  }

  void apply(const Change& change, const LineMoment& moment) override {
    open_day(moment.position.c);
    switch (change.action) {
      case Action::Insert:
        reader_.read(change.columns, new_);
        return write(new_, "insert", moment);
      case Action::Delete:
        reader_.read(change.columns, old_);
        require_key(old_);
        return write(old_, "delete", moment);
      case Action::Replace:
        reader_.read(change.columns, old_);
        require_key(old_);
        for (Cell& cell : old_) cell.keep();
        replace_open_ = true;
        return;
      case Action::Update:
        return update(change.columns, moment);
      case Action::Truncate:
      case Action::Rewrite:
      case Action::Drop:
        return end_all(daystream::action_name(change.action), moment);
      default:
        throw daystream::NeedsPerson(
            fmt::format("a row of table {} is too large for the stream", history_.source_table),
            "leave the column out with \"columns\", then seed it again");
    }
  }
  // Each row that is there was changed on this day.
  void carry(const std::vector<CarriedValue>& values, const LineMoment& moment) override {
    const bool any = std::any_of(values.begin(), values.end(), [&](const CarriedValue& value) {
      return value.sql != "NULL" || was_there(value.column);
    });
    if (!any) return;
    open_day(moment.position.c);
    std::string now;
    for (const MirrorColumn& column : history_.columns) {
      const auto value = std::find_if(values.begin(), values.end(), [&](const CarriedValue& v) {
        return v.column == column.name;
      });
      now += ", " + (value == values.end() ? quote_name(column.name) : value->sql);
    }
    std::string here;
    std::string of_base;
    Statement select = db_.prepare("SELECT name FROM pragma_table_info(?) WHERE cid >= ?");
    select.bind(1, days_name(history_));
    select.bind(2, std::int64_t{kOwnColumns});
    while (select.step()) {
      const std::string name = select.text(0);
      here += quote_name(name) + ", ";
      of_base += fmt::format("{} AS {}, ", in_base(name), quote_name(name));
    }
    select.reset();
    const std::string base = quote_name(history_.name);
    const std::string key = key_equal(history_, "d", "b");
    db_.exec(
        fmt::format("INSERT OR REPLACE INTO {0}(_day, _c, _s, _lsn, _time, _action{1}) "
                    "SELECT {2}, {3}, {4}, {5}, {6}, 'schema'{7} FROM ("
                    "SELECT * FROM (SELECT {8}_action, max(_day) AS _day FROM {0} GROUP BY {10}) d "
                    "WHERE _day >= {11} OR NOT EXISTS (SELECT 1 FROM {12} b WHERE {13}) UNION ALL "
                    "SELECT {9}'seed', {11} FROM {12} b "
                    "WHERE NOT EXISTS (SELECT 1 FROM {0} d WHERE _day >= {11} AND {13})) "
                    "WHERE _action NOT IN ('delete', 'truncate', 'rewrite', 'drop')",
                    days_, columns_, quote_text(day_), moment.position.c, moment.position.s,
                    quote_text(moment.lsn.text()), quote_text(timestamp_of(moment.time_us)), now,
                    here, of_base, key_list(history_), quote_text(base_day_), base, key));
  }
  bool replace_open() const noexcept override { return replace_open_; }

 private:
  // A column that came after the beginning has no name there.
  std::string in_base(const std::string& column) const {
    const bool there =
        db_.value(fmt::format("SELECT 1 FROM pragma_table_info({}) WHERE name = {} COLLATE NOCASE",
                              quote_text(history_.name), quote_text(column)))
            .has_value();
    return there ? quote_name(column) : std::string("NULL");
  }

  // Another column of that name.
  bool was_there(const std::string& column) const {
    return std::find(came_.begin(), came_.end(), column) == came_.end();
  }

  void require_key(const Row& row) const {
    for (const int k : key_) {
      if (row[k].present) continue;
      throw daystream::NeedsPerson(
          fmt::format("a change of table {} does not name its row", history_.source_table),
          "give it a primary key or REPLICA IDENTITY FULL, then seed it again");
    }
  }

  void update(std::string_view columns, const LineMoment& moment) {
    reader_.read(columns, new_);
    const bool has_old = std::exchange(replace_open_, false);
    const Row& identity = has_old ? old_ : new_;
    require_key(identity);
    const bool whole =
        std::all_of(new_.begin(), new_.end(), [](const Cell& cell) { return cell.present; });
    if (!whole) complete(identity, has_old);
    bool moved = false;
    for (const int k : key_) {
      moved = moved || (has_old && (new_[k].value.type != old_[k].value.type ||
                                    new_[k].value.integer != old_[k].value.integer ||
                                    new_[k].value.real != old_[k].value.real ||
                                    new_[k].value.bytes != old_[k].value.bytes));
    }
    if (moved) write(old_, "delete", moment);
    write(new_, "update", moment);
  }

  // What the line leaves out did not change: it is as the history last had it.
  void complete(const Row& identity, bool has_old) {
    Statement* from = &latest_;
    const auto find = [&](Statement& statement) {
      int index = 1;
      for (const int k : key_) identity[k].value.bind_to(statement, index++);
      return statement.step();
    };
    bool found = find(latest_);
    if (!found || latest_.text(0) < base_day_) {
      // The beginning is later, where it has the row.
      if (find(beginning_)) {
        latest_.reset();
        from = &beginning_;
        found = true;
      }
    }
    if (!found) {
      throw Diverged(fmt::format("history \"{}\" lacks a row that the stream's update is about",
                                 shown_name(history_)),
                     "somebody else wrote to it: \"deltamirror remove\" it, and seed it again");
    }
    for (std::size_t i = 0; i < new_.size(); ++i) {
      Cell& cell = new_[i];
      if (cell.present) continue;
      if (has_old && old_[i].present) {
        cell.value = old_[i].value;
      } else {
        take(cell, *from, static_cast<int>(i) + 2);
      }
      cell.present = true;
    }
    from->reset();
    latest_.reset();
    beginning_.reset();
  }

  static void take(Cell& cell, const Statement& row, int column) {
    sqlite3_value* const stored = sqlite3_column_value(row.raw(), column);
    const int type = sqlite3_value_type(stored);
    if (type == SQLITE_INTEGER) {
      cell.value = Value::of_integer(sqlite3_value_int64(stored));
    } else if (type == SQLITE_FLOAT) {
      cell.value = Value{Value::Type::Real, 0, sqlite3_value_double(stored), {}};
    } else if (type == SQLITE_TEXT || type == SQLITE_BLOB) {
      const auto* const data = static_cast<const char*>(sqlite3_value_blob(stored));
      cell.unescaped.assign(data == nullptr ? "" : data,
                            static_cast<std::size_t>(sqlite3_value_bytes(stored)));
      cell.value =
          type == SQLITE_TEXT ? Value::of_text(cell.unescaped) : Value::of_blob(cell.unescaped);
    } else {
      cell.value = Value{};
    }
  }

  void write(const Row& row, std::string_view action, const LineMoment& moment) {
    write_.bind(1, day_);
    write_.bind(2, moment.position.c);
    write_.bind(3, static_cast<std::int64_t>(moment.position.s));
    write_.bind(4, moment.lsn.text());
    write_.bind(5, timestamp_of(moment.time_us));
    write_.bind(6, action);
    int index = kOwnColumns + 1;
    for (const Cell& cell : row) cell.value.bind_to(write_, index++);
    write_.run();
  }

  // Each row that was there has its end on this day.
  void end_all(std::string_view action, const LineMoment& moment) {
    db_.exec(fmt::format(
        "INSERT OR REPLACE INTO {0}(_day, _c, _s, _lsn, _time, _action, {1}) "
        "SELECT {2}, {3}, {4}, {5}, {6}, {7}, {1} FROM ("
        "SELECT {1}, _action AS a, max(_day) FROM {0} GROUP BY {1} UNION ALL "
        "SELECT {1}, 'seed', NULL FROM {8} b WHERE NOT EXISTS (SELECT 1 FROM {0} d WHERE {9})) "
        "WHERE a NOT IN ('delete', 'truncate', 'drop')",
        days_, key_list(history_), quote_text(day_), moment.position.c, moment.position.s,
        quote_text(moment.lsn.text()), quote_text(timestamp_of(moment.time_us)), quote_text(action),
        quote_name(history_.name), key_equal(history_, "d", "b")));
  }

  void open_day(std::int64_t c) {
    if (c / 86'400 == day_number_) return;
    day_number_ = c / 86'400;
    day_ = day_of(c);
    expire(db_, history_, day_);
  }

  Database& db_;
  const MirroredTable& history_;
  const std::string days_;
  const std::string base_day_;
  const std::vector<int> key_;
  std::string columns_;            // each with a comma before it
  std::vector<std::string> came_;  // with the table's last shape
  RowReader reader_;
  Row old_;
  Row new_;
  bool replace_open_ = false;
  std::int64_t day_number_ = -1;
  std::string day_;
  Statement write_;
  Statement latest_;
  Statement beginning_;
};

}  // namespace

std::unique_ptr<HistoryWriter> make_day_states(Database& db, const MirroredTable& history) {
  return std::make_unique<DayStates>(db, history);
}

}  // namespace deltamirror
