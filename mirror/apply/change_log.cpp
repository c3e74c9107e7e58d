// "history": each line is a row of its day's table, as the stream has it; a `replace` is a row of
// its own, before that of its update, and has what PostgreSQL has logged of the old row.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apply/day_states.h"
#include "apply/history_writer.h"
#include "apply/row_reader.h"
#include "apply/untold.h"
#include "history/history_tables.h"
#include "store/checkpoint.h"

namespace deltamirror {

using daystream::Action;
using daystream::Change;

namespace {

class ChangeLog : public HistoryWriter {
 public:
  ChangeLog(Database& db, const MirroredTable& history)
      : db_(db), history_(history), reader_(history), row_(history.columns.size()) {}

  void apply(const Change& change, const LineMoment& moment) override {
    if (change.action == Action::Oversize) {
      throw_untold(change, history_.source_table,
                   "leave the column out with \"columns\", then seed it again");
    }
    const bool is_row = change.action == Action::Insert || change.action == Action::Update ||
                        change.action == Action::Delete || change.action == Action::Replace;
    reader_.read(is_row ? change.columns : std::string_view(), row_);
    open_day(moment.position.c);
    insert_.bind(1, moment.position.c);
    insert_.bind(2, static_cast<std::int64_t>(moment.position.s));
    insert_.bind(3, moment.lsn.text());
    if (moment.time_us == 0) {
      insert_.bind_null(4);
    } else {
      insert_.bind(4, timestamp_of(moment.time_us));
    }
    insert_.bind(5, daystream::action_name(change.action));
    bind_unchanged(change.action == Action::Update);
    int index = 7;
    for (const Cell& cell : row_) cell.value.bind_to(insert_, index++);
    insert_.run();
    replace_open_ = change.action == Action::Replace;
  }
  // A row that is no row's: what is new in all of them.
  void carry(const std::vector<CarriedValue>& values, const LineMoment& moment) override {
    std::vector<std::string> sql(history_.columns.size(), "NULL");
    nlohmann::json others = nlohmann::json::array();
    bool any = false;
    for (std::size_t i = 0; i < sql.size(); ++i) {
      const std::string& name = history_.columns[i].name;
      const auto value = std::find_if(values.begin(), values.end(), [&](const CarriedValue& v) {
        return v.is_default && v.column == name;
      });
      if (value == values.end()) {
        others.push_back(name);
        continue;
      }
      sql[i] = value->sql;
      any = any || value->sql != "NULL";
    }
    if (!any) return;
    open_day(moment.position.c);
    db_.exec(fmt::format("INSERT INTO {}({}) VALUES({}, {}, {}, {}, 'schema', {}, {})",
                         quote_name(day_), columns_, moment.position.c, moment.position.s,
                         quote_text(moment.lsn.text()),
                         moment.time_us == 0 ? "NULL" : quote_text(timestamp_of(moment.time_us)),
                         quote_text(others.dump()), fmt::join(sql, ", ")));
  }
  bool replace_open() const noexcept override { return replace_open_; }

 private:
  void bind_unchanged(bool is_update) {
    nlohmann::json names = nlohmann::json::array();
    for (std::size_t i = 0; is_update && i < row_.size(); ++i) {
      if (!row_[i].present) names.push_back(history_.columns[i].name);
    }
    if (names.empty()) {
      insert_.bind_null(6);
    } else {
      insert_.bind(6, names.dump());
    }
  }

  void open_day(std::int64_t c) {
    if (c / 86'400 == day_number_) return;
    insert_ = Statement();  // on a table that may be altered
    const std::string day = day_of(c);
    if (make_day(db_, history_, day, day_)) {
      expire(db_, history_, day);
      make_view(db_, history_);
    } else if (!add_columns(db_, history_, day_).empty()) {
      make_view(db_, history_);
    }
    columns_ = "_c, _s, _lsn, _time, _action, _unchanged";
    std::string marks = "?,?,?,?,?,?";
    for (const MirrorColumn& column : history_.columns) {
      columns_ += ", " + quote_name(column.name);
      marks += ",?";
    }
    insert_ = db_.prepare(
        fmt::format("INSERT INTO {}({}) VALUES({})", quote_name(day_), columns_, marks));
    day_number_ = c / 86'400;
  }

  Database& db_;
  const MirroredTable& history_;
  RowReader reader_;
  Row row_;
  Statement insert_;
  std::int64_t day_number_ = -1;
  std::string day_;      // its table
  std::string columns_;  // of insert_
  bool replace_open_ = false;
};

}  // namespace

std::unique_ptr<HistoryWriter> make_history_writer(Database& db, const MirroredTable& history) {
  check_history(history);
  if (history.mode == TableMode::LatestPerDay) return make_day_states(db, history);
  return std::make_unique<ChangeLog>(db, history);
}

}  // namespace deltamirror
