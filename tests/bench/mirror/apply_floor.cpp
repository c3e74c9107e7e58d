// The floor of replay: TPC-B's changes, taken from a daystream's file beforehand, applied by
// prepared statements to a copy of a seeded mirror.
//
//   apply_floor DAY_FILE MIRROR.db TRANSACTIONS_A_COMMIT
//
// In one thread, with the mirror's own settings; nothing is checked and no checkpoint is kept.
// Prints the seconds.
#include <charconv>
#include <cstdint>
#include <vector>

#include "floor.h"

using floors::die;

namespace {

enum class Kind : std::uint8_t { Account, Teller, Branch, History, Commit };

// Values as they will be bound; texts point into the file.
struct Change {
  Kind kind = Kind::Commit;
  std::int64_t numbers[5] = {};
  std::string_view text;
  bool null_text = true;
};

std::int64_t number(std::string_view text) {
  std::int64_t out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

// The values after `_action VERB`, in the table's order.
std::vector<std::string_view> values_of(std::string_view line) {
  std::vector<std::string_view> fields;
  for (std::size_t start = 0; start <= line.size();) {
    const std::size_t tab = std::min(line.find('\t', start), line.size());
    fields.push_back(line.substr(start, tab - start));
    start = tab + 1;
  }
  std::vector<std::string_view> values;
  bool row = false;
  for (std::size_t i = 0; i + 1 < fields.size(); i += 2) {
    if (row) values.push_back(fields[i + 1]);
    if (fields[i] == "_action") row = true;
  }
  return values;
}

std::vector<Change> changes_of(std::string_view file) {
  std::vector<Change> out;
  for (std::size_t start = 0; start < file.size();) {
    const std::size_t end = file.find('\n', start);
    const std::string_view line = file.substr(start, end - start);
    start = end + 1;
    Change change;
    if (line.find("_action\tcommit") != std::string_view::npos) {
      out.push_back(change);
      continue;
    }
    const bool update = line.find("_action\tupdate") != std::string_view::npos;
    if (!update && line.find("_action\tinsert") == std::string_view::npos) continue;
    const auto is_of = [&](const char* table) {
      return line.find(table) != std::string_view::npos;
    };
    const auto values = values_of(line);
    if (is_of("_table\tpgbench_history\t")) {
      // tid, bid, aid, delta, mtime, id: a NULL filler is not in the line of an insert
      change.kind = Kind::History;
      for (const int i : {0, 1, 2, 3}) change.numbers[i] = number(values.at(i));
      change.text = values.at(4);
      change.numbers[4] = number(values.at(5));
      change.null_text = false;
    } else if (is_of("_table\tpgbench_accounts\t") || is_of("_table\tpgbench_tellers\t")) {
      change.kind = is_of("_table\tpgbench_accounts\t") ? Kind::Account : Kind::Teller;
      for (const int i : {0, 1, 2}) change.numbers[i] = number(values.at(i));
      change.text = values.at(3);
      change.null_text = change.text == "\\N";
    } else if (is_of("_table\tpgbench_branches\t")) {
      change.kind = Kind::Branch;
      for (const int i : {0, 1}) change.numbers[i] = number(values.at(i));
      change.text = values.at(2);
      change.null_text = change.text == "\\N";
    } else {
      continue;
    }
    out.push_back(change);
  }
  return out;
}

class Applier {
 public:
  explicit Applier(const char* path) : db_(floors::open_database(path)) {
    floors::run(db_,
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; "
                "PRAGMA cache_size=-65536; PRAGMA wal_autocheckpoint=4096; "
                "PRAGMA temp_store=FILE");
    statements_[0] =
        floors::prepare(db_, "UPDATE pgbench_accounts SET bid=?, abalance=?, filler=? WHERE aid=?");
    statements_[1] =
        floors::prepare(db_, "UPDATE pgbench_tellers SET bid=?, tbalance=?, filler=? WHERE tid=?");
    statements_[2] =
        floors::prepare(db_, "UPDATE pgbench_branches SET bbalance=?, filler=? WHERE bid=?");
    statements_[3] =
        floors::prepare(db_,
                        "INSERT INTO pgbench_history(tid, bid, aid, delta, mtime, filler, id) "
                        "VALUES(?,?,?,?,?,NULL,?)");
    begin_ = floors::prepare(db_, "BEGIN IMMEDIATE");
    commit_ = floors::prepare(db_, "COMMIT");
  }
  void begin() { floors::step(begin_); }
  void commit() { floors::step(commit_); }
  void apply(const Change& change) {
    sqlite3_stmt* const statement = statements_[static_cast<int>(change.kind)];
    const std::int64_t* const n = change.numbers;
    const auto bind_text = [&](int index) {
      if (change.null_text) {
        sqlite3_bind_null(statement, index);
      } else {
        floors::bind(statement, index, change.text);
      }
    };
    switch (change.kind) {
      case Kind::Account:
      case Kind::Teller:
        sqlite3_bind_int64(statement, 1, n[1]);
        sqlite3_bind_int64(statement, 2, n[2]);
        bind_text(3);
        sqlite3_bind_int64(statement, 4, n[0]);
        break;
      case Kind::Branch:
        sqlite3_bind_int64(statement, 1, n[1]);
        bind_text(2);
        sqlite3_bind_int64(statement, 3, n[0]);
        break;
      case Kind::History:
        for (int i = 0; i < 4; ++i) sqlite3_bind_int64(statement, i + 1, n[i]);
        bind_text(5);
        sqlite3_bind_int64(statement, 6, n[4]);
        break;
      case Kind::Commit:
        return;
    }
    floors::step(statement);
  }

 private:
  sqlite3* db_;
  sqlite3_stmt* statements_[4];
  sqlite3_stmt* begin_;
  sqlite3_stmt* commit_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) die("usage: apply_floor DAY_FILE MIRROR.db TRANSACTIONS_A_COMMIT");
  std::ifstream in(argv[1], std::ios::binary);
  const std::string file{std::istreambuf_iterator<char>(in), {}};
  const std::vector<Change> changes = changes_of(file);
  const int together = std::atoi(argv[3]);

  const floors::Stopwatch watch;
  Applier applier(argv[2]);
  int open = 0;
  bool begun = false;
  for (const Change& change : changes) {
    if (!begun) applier.begin();
    begun = true;
    if (change.kind != Kind::Commit) {
      applier.apply(change);
    } else if (++open == together) {
      applier.commit();
      begun = false;
      open = 0;
    }
  }
  if (begun) applier.commit();
  watch.print();
}
