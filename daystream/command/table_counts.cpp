#include "table_counts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "daystream/line.h"
#include "daystream/reader.h"
#include "json_text.h"
#include "program/figures.h"

namespace daystream::command {

namespace {

constexpr std::size_t kActions = static_cast<std::size_t>(Action::Gap) + 1;
constexpr std::size_t kBarWidth = 30;

struct Counts {
  std::array<std::uint64_t, kActions> of{};

  std::uint64_t operator[](Action action) const { return of[static_cast<std::size_t>(action)]; }
  std::uint64_t all() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : of) sum += count;
    return sum;
  }
  std::uint64_t other() const {
    return all() - (*this)[Action::Insert] - (*this)[Action::Update] - (*this)[Action::Delete];
  }
};

struct Tables {
  std::map<std::string, Counts, std::less<>> counts;
  std::uint64_t transactions = 0;
  std::uint64_t lines = 0;  // of these, commit lines too

  void add(Transaction& transaction) {
    if (transaction.kind() != Transaction::Kind::Transaction) return;
    ++transactions;
    lines += transaction.line_count() + 1;
    Line line;
    while (transaction.next_line(line)) {
      const Change change = parse_change(line.body);
      // A message has no table; a `replace` is half of the change that its `update` is; a schema
      // line means a change only sometimes.
      if (change.table.empty() || change.action == Action::Replace ||
          change.action == Action::Schema) {
        continue;
      }
      auto at = counts.find(change.table);
      if (at == counts.end()) at = counts.emplace(change.table, Counts{}).first;
      ++at->second.of[static_cast<std::size_t>(change.action)];
    }
  }
};

// Eighths of a character: what is not nothing shows.
std::string bar(std::uint64_t count, std::uint64_t most) {
  static constexpr std::array<const char*, 8> kParts = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const double share = static_cast<double>(count) / static_cast<double>(most);
  const auto eighths =
      std::max<std::size_t>(1, static_cast<std::size_t>(std::lround(share * 8 * kBarWidth)));
  std::string text;
  for (std::size_t i = 0; i < eighths / 8; ++i) text += "█";
  return text + kParts[eighths % 8];
}

void print_text(const Tables& tables) {
  std::vector<std::pair<std::string, Counts>> rows(tables.counts.begin(), tables.counts.end());
  std::stable_sort(rows.begin(), rows.end(),
                   [](const auto& a, const auto& b) { return a.second.all() > b.second.all(); });
  std::size_t width = 5;
  for (const auto& [table, counts] : rows) width = std::max(width, table.size());
  fmt::print("{:<{}} {:>10} {:>10} {:>10} {:>10}\n", "table", width, "insert", "update", "delete",
             "other");
  for (const auto& [table, counts] : rows) {
    fmt::print("{:<{}} {:>10} {:>10} {:>10} {:>10}  {}\n", table, width, counts[Action::Insert],
               counts[Action::Update], counts[Action::Delete], counts.other(),
               bar(counts.all(), rows.front().second.all()));
  }
  fmt::print("in {}, {}\n", program::counted(tables.transactions, "transaction"),
             program::counted(tables.lines, "line"));
}

void print_json(const Tables& tables) {
  using nlohmann::ordered_json;
  ordered_json value;
  value["transactions"] = tables.transactions;
  value["lines"] = tables.lines;
  value["tables"] = ordered_json::array();
  for (const auto& [table, counts] : tables.counts) {
    ordered_json row;
    row["table"] = unescape(table);
    row["changes"] = counts.all();
    for (std::size_t i = 0; i < kActions; ++i) {
      if (counts.of[i] > 0) row[std::string(action_name(static_cast<Action>(i)))] = counts.of[i];
    }
    value["tables"].push_back(row);
  }
  std::fputs(json_page(value).c_str(), stdout);
}

}  // namespace

int info_tables(const Stream& stream, const RangeOptions& range, bool json) {
  const Until until = until_of(range);
  Reader reader(stream, start_of(range, stream));
  Tables tables;
  while (Transaction* transaction = reader.next()) {
    if (until.passed(*transaction)) break;
    tables.add(*transaction);
  }
  json ? print_json(tables) : print_text(tables);
  return 0;
}

}  // namespace daystream::command
