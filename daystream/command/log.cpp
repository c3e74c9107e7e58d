// daystream log: the history of one row.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "commands.h"
#include "daystream/error.h"
#include "daystream/reader.h"
#include "log_entries.h"
#include "origin.h"
#include "range.h"
#include "search.h"
#include "table_book.h"

namespace daystream::command {

namespace {

struct RowLogOptions {
  std::string source;
  std::string table;
  std::string key;
  std::string from;  // --source
  RangeOptions range;
  bool json = false;
};

Columns columns_of(std::string_view fields) {
  Columns columns;
  std::string_view name;
  std::string_view value;
  for (FieldCursor cursor(fields); cursor.next(name, value);) columns.emplace(name, value);
  return columns;
}

// Splits `text` at commas; a comma in a value is written `\,`.
std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts(1);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] == ',') {
      parts.back() += text[++i];
    } else if (text[i] == ',') {
      parts.emplace_back();
    } else {
      parts.back() += text[i];
    }
  }
  return parts;
}

std::string escaped(std::string_view text) {
  std::string raw;
  escape_to(raw, text);
  return raw;
}

std::string_view without_public(std::string_view table) {
  constexpr std::string_view kPublic = "public.";
  return table.starts_with(kPublic) ? table.substr(kPublic.size()) : table;
}

// The row that was asked for; it is followed through changes of its key.
struct Row {
  Columns key;
  std::optional<Columns> values;  // what is known of it, with its key
  bool whole = false;             // its insert was seen: what is not in `values` is NULL
};

class RowHistory {
 public:
  RowHistory(const Stream& stream, const RowLogOptions& options)
      : stream_(stream),
        from_(chosen_source(stream, options.from, true)),
        table_(escaped(without_public(options.table))),
        needle_("_table\t" + table_ + "\t"),
        entries_(options.json) {
    const std::vector<std::string> parts = split(options.key);
    const bool named = std::all_of(parts.begin(), parts.end(), [](const std::string& part) {
      return part.find('=') != std::string::npos && part.front() != '=';
    });
    for (const std::string& part : parts) {
      const auto equals = named ? part.find('=') : 0;
      if (named) {
        asked_.emplace(escaped(part.substr(0, equals)), escaped(part.substr(equals + 1)));
      } else {
        asked_values_.push_back(escaped(part));
      }
    }
    // Until the key's columns are known, any column's.
    asked_needle_ = named ? needle_of(asked_) : Needle("\t" + asked_values_.front());
  }

  void read(Transaction& transaction) {
    if (transaction.kind() != Transaction::Kind::Transaction) return;
    if (!from_.empty() && source_of(transaction.end()) != from_) return;
    Line line;
    std::optional<Columns> old;  // of a `replace`
    const Transaction::Find find = [this](std::string_view lines) { return candidate_in(lines); };
    while (old ? transaction.next_line(line) : transaction.next_line_where(find, line)) {
      if (!line.body.starts_with(needle_.bytes())) continue;
      const Change change = parse_change(line.body);
      if (asked_.empty() && change.action != Action::Schema) learn_key();
      if (change.action == Action::Replace) {
        old = columns_of(change.columns);
      } else {
        take(transaction, line, change, old);
        old.reset();
      }
    }
  }

  // From what is already there, where values alone were given: a table may get its key long after
  // its first rows. Mostly this is not needed, as schema lines come before rows.
  void learn_key() {
    if (!asked_.empty() || std::exchange(looked_back_, true)) return;
    TableBook book;
    book.look_back(stream_, {INT64_MAX, 0}, table_, from_);
    if (const KnownTable* known = book.find(table_)) take_key(known->key);
  }
  bool knows_key() const noexcept { return !asked_.empty(); }
  // The table got another key before anything was found: all is to be read again with that.
  bool starts_again() noexcept { return std::exchange(starts_again_, false); }
  bool found() const noexcept { return found_; }
  void flush() { entries_.flush(); }

 private:
  // Where the first of `lines` is that may be of one of the rows: most do not, and are not taken
  // apart.
  std::size_t candidate_in(std::string_view lines) const {
    std::size_t first = std::string_view::npos;
    if (other_identity_) {
      first = needle_.find_in(lines);
    } else {
      first = asked_needle_->find_with_table_verbs(lines);
      for (const Row& row : rows_) {
        if (row.key == asked_) continue;
        first = std::min(first, needle_of(row.key).find_in(lines.substr(0, first)));
      }
    }
    return pair_at(lines, first);
  }

  // Learns which columns are the key.
  void take_schema(const Change& change) {
    // A column was added with a default: rows that are there have that, not NULL.
    if (contains(change.leading_fields, "_missing_")) {
      for (Row& row : rows_) row.whole = false;
    }
    TableBook book;
    book.learn(change);
    const std::vector<std::string>& names = book.find(change.table)->key;
    if (!asked_values_.empty() && !names.empty() && !is_key(names)) {
      if (names.size() != asked_values_.size()) {
        learn_key();
      } else if (asked_.empty()) {
        take_key(names);
      } else if (!found_ && !looked_back_) {
        asked_.clear();
        learn_key();
        starts_again_ = true;
      }
    }
    // Then the bytes that are looked for are not in the line of a delete.
    other_identity_ = !asked_.empty() && change.identity != "f" && !names.empty() &&
                      std::find(names.begin(), names.end(), asked_.begin()->first) == names.end();
  }
  bool is_key(const std::vector<std::string>& names) const {
    return names.size() == asked_.size() &&
           std::all_of(names.begin(), names.end(),
                       [this](const std::string& name) { return asked_.contains(name); });
  }
  void take_key(const std::vector<std::string>& names) {
    if (names.empty()) return;  // a key may come later
    if (names.size() != asked_values_.size()) {
      throw ConfigError(fmt::format("the key of table \"{}\" is ({}), not {} values", table_,
                                    fmt::join(names, ", "), asked_values_.size()),
                        "name the columns that tell the row: --key id=4711,leg=2");
    }
    for (std::size_t i = 0; i < names.size(); ++i) asked_.emplace(names[i], asked_values_[i]);
    asked_needle_ = needle_of(asked_);
  }
  static Needle needle_of(const Columns& key) {
    return Needle("\t" + key.begin()->first + "\t" + key.begin()->second);
  }

  // Whether an old identity is that of `row`: by its key, or by other columns that are known.
  static bool identifies(const Columns& identity, const Row& row) {
    bool all_of_key = true;
    for (const auto& [name, value] : row.key) {
      const auto at = identity.find(name);
      if (at == identity.end()) {
        all_of_key = false;
      } else if (at->second != value) {
        return false;
      }
    }
    if (all_of_key) return true;
    if (!row.values || identity.empty()) return false;
    return std::all_of(identity.begin(), identity.end(), [&](const auto& field) {
      const auto known = row.values->find(field.first);
      return known != row.values->end() && known->second == field.second;
    });
  }

  // The row that `identity` names; what was asked for begins to be followed when it is met.
  Row* find(const Columns& identity) {
    for (Row& row : rows_) {
      if (identifies(identity, row)) return &row;
    }
    if (asked_.empty() || !identifies(identity, {asked_, {}, false})) return nullptr;
    return &rows_.emplace_back(Row{asked_, {}, false});
  }

  void take(const Transaction& transaction, const Line& line, const Change& change,
            const std::optional<Columns>& old) {
    switch (change.action) {
      case Action::Schema:
        take_schema(change);
        return;
      case Action::Truncate:
      case Action::Drop:
        if (!rows_.empty()) show(transaction, line, change.action, asked_, {}, {});
        rows_.clear();
        return;
      case Action::Delete: {
        const Columns identity = columns_of(change.columns);
        Row* row = find(identity);
        if (row == nullptr) return;
        show(transaction, line, change.action, row->key, row->values ? *row->values : identity, {});
        rows_.erase(rows_.begin() + (row - rows_.data()));
        return;
      }
      case Action::Insert:
      case Action::Update:
        take_values(transaction, line, change, old);
        return;
      default:
        return;
    }
  }

  void take_values(const Transaction& transaction, const Line& line, const Change& change,
                   const std::optional<Columns>& old) {
    const Columns values = columns_of(change.columns);
    Row* row = find(old ? *old : values);
    if (row == nullptr && old) row = find(values);  // it takes on the key that was asked for
    if (row == nullptr) return;
    Columns before = row->values.value_or(Columns{});
    if (old) before.insert(old->begin(), old->end());
    if (row->whole) {
      for (const auto& [name, value] : values) before.emplace(name, kNull);
    }
    Columns changed;
    for (const auto& [name, value] : values) {
      const auto known = before.find(name);
      if (known == before.end() || known->second != value) changed.emplace(name, value);
    }
    Columns after = before;
    for (const auto& [name, value] : values) after[name] = value;
    for (auto& [name, value] : row->key) {
      if (const auto at = after.find(name); at != after.end()) value = at->second;
    }
    // A table that is rewritten writes all its rows again.
    const bool again = change.action == Action::Insert && row->values.has_value();
    row->values = std::move(after);
    row->whole = row->whole || change.action == Action::Insert;
    if (again && changed.empty()) return;
    show(transaction, line, again ? Action::Rewrite : change.action, row->key, before, changed);
  }

  void show(const Transaction& transaction, const Line& line, Action action, const Columns& key,
            const Columns& before, const Columns& changed) {
    found_ = true;
    entries_.show(transaction, line.position, action, {key, before, changed});
  }

  Stream stream_;
  std::string from_;  // the raw `_source` that the table is of
  std::string table_;
  Needle needle_;  // what every line of the table begins with
  // In every line that names the row by the key that was asked for.
  std::optional<Needle> asked_needle_;
  std::vector<std::string> asked_values_;
  Columns asked_;  // empty: the key's columns are not known yet
  bool looked_back_ = false;
  bool starts_again_ = false;
  bool other_identity_ = false;  // old rows are named by other columns than the key
  std::vector<Row> rows_;
  bool found_ = false;
  LogEntries entries_;
};

// False: all is to be read again.
bool read_range(const RowLogOptions& options, const Stream& stream, RowHistory& history) {
  const Until until = until_of(options.range);
  Reader reader(stream, start_of(options.range, stream));
  while (Transaction* transaction = reader.next()) {
    if (until.passed(*transaction)) break;
    history.read(*transaction);
    if (history.starts_again()) return false;
  }
  return true;
}

int log(const RowLogOptions& options, const Stream& stream) {
  RowHistory history(stream, options);
  while (!read_range(options, stream, history)) {
  }
  history.flush();
  history.learn_key();  // where the range has no line of the table
  if (!history.knows_key()) {
    throw ConfigError(fmt::format("no schema line has the key of table \"{}\"", options.table),
                      "name the key's columns: --key id=4711");
  }
  if (!history.found()) fmt::print(stderr, "no change of that row\n");
  return 0;
}

}  // namespace

void add_log(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<RowLogOptions>();
  CLI::App& command = *app.add_subcommand("log", "tell the history of one row");
  command.add_option("STREAM", options->source, "the daystream's directory")->required();
  command.add_option("--table", options->table, "its table, as lines name it: flights, ops.crew")
      ->required();
  command
      .add_option("--key", options->key,
                  "its key: VALUE[,VALUE], or COLUMN=VALUE[,COLUMN=VALUE]; a comma in a value is "
                  "written \\,")
      ->required();
  command
      .add_option("--source", options->from,
                  "of a stream merged of several databases, the one that the table is of")
      ->type_name("NAME");
  command.add_option("--since", options->range.since,
                     "from a time (UTC), position or LSN on: \"10:15\", \"2h ago\"");
  command.add_option("--until", options->range.until,
                     "up to and without a time; up to and with a position or LSN");
  command.add_flag("--json", options->json, "one JSON object a change");
  command.footer(
      "One entry a change, oldest first: when it was committed, by which transaction, where it\n"
      "stands, and what became of each column: old → new. Values are written as in the files, "
      "\\N\n"
      "is NULL; an old value that is nowhere in what was read is left out. The row is followed "
      "when\n"
      "its key changes; to see what it was before it got this key, ask for the old one.\n\n"
      "Examples:\n"
      "  daystream log /srv/prod --table flights --key 4711\n"
      "  daystream log /srv/prod --table ops.crew --key flight=4711,seat=2 --since yesterday");
  command.callback([options, &chosen] {
    chosen = [options](const Reach& reach) {
      return log(*options, reach.streams.open(options->source));
    };
  });
}

}  // namespace daystream::command
