#include "part_sieve.h"

#include "crc32c.h"
#include "daystream/manifest.h"
#include "key_hash.h"

namespace daystream::command {

namespace {

bool is_of_row(Action action) {
  return action == Action::Insert || action == Action::Update || action == Action::Delete ||
         action == Action::Replace;
}

}  // namespace

// A transaction may describe a table behind rows of it: they are shared out by what was known
// before it, also when its lines are gone through again.
bool PartSieve::wants(Transaction& transaction) {
  if (current_) before_ = *current_;
  current_ = transaction.position();
  book_before_.reset();
  bool wanted = false;
  each_line(transaction, [&](const Line&) {
    wanted = true;
    return false;
  });
  if (!wanted || !setup_.oldest || transaction.position().c >= setup_.oldest()) return wanted;
  ++expired_;
  return false;
}

void PartSieve::show(Transaction& transaction, Output& output) {
  if (book_before_) book_ = *std::exchange(book_before_, std::nullopt);
  each_line(transaction, [&](const Line& line) {
    format_line(output.buffer(), setup_.format, line);
    output.written();
    return true;
  });
  format_line(output.buffer(), setup_.format, transaction.end_line());
  output.written();
}

// `replace` and the `update` it belongs to stay together: both parts have both.
void PartSieve::each_line(Transaction& transaction, const std::function<bool(const Line&)>& found) {
  Line line;
  std::string kept;
  while (transaction.next_line(line)) {
    const Change change = parse_change(line.body);
    if (change.action == Action::Replace) {
      const bool ours = is_ours(change);
      kept.assign(line.whole);
      const Line first{line.position, std::string_view(kept).substr(kept.size() - line.body.size()),
                       kept};
      if (!transaction.next_line(line)) return;
      if (!ours && !is_ours(parse_change(line.body))) continue;
      if (!found(first) || !found(line)) return;
      continue;
    }
    if (change.action == Action::Schema) {
      if (!book_before_) book_before_ = book_;
      book_.learn(change);
    }
    if (is_ours(change) && !found(line)) return;
  }
}

bool PartSieve::is_ours(const Change& change) {
  if (!change.table.empty() && !is_followed(change.table)) return false;
  if (change.table.empty() && !setup_.rule.tables.empty()) return false;
  const auto part = part_of(change);
  return !part || *part == setup_.part;
}

// nullopt: all parts.
std::optional<std::uint32_t> PartSieve::part_of(const Change& change) {
  const std::uint32_t into = setup_.rule.into;
  if (change.action == Action::Message) return 0;
  if (change.table.empty()) return std::nullopt;
  const std::uint32_t by_table = extend_crc(0, change.table);
  if (setup_.rule.by == sharing::By::Table) return by_table % into;
  if (!is_of_row(change.action)) return std::nullopt;
  const KnownTable* const table = known(change.table);
  if (table == nullptr || table->key.empty() || change.identity == "none") return by_table % into;
  const auto hash = hash_of_key(extend_crc(by_table, "\t"), table->key, change.columns);
  if (!hash) return std::nullopt;
  return *hash % into;
}

bool PartSieve::is_followed(std::string_view raw_table) {
  if (setup_.rule.tables.empty()) return true;
  auto at = followed_.find(raw_table);
  if (at == followed_.end()) {
    at = followed_.emplace(raw_table, table_list_matches(setup_.rule.tables, unescape(raw_table)))
             .first;
  }
  return at->second;
}

const KnownTable* PartSieve::known(std::string_view raw_table) {
  if (const KnownTable* const table = book_.find(raw_table)) return table;
  if (described_nowhere_.contains(raw_table)) return nullptr;
  book_.look_back(setup_.stream, before_, raw_table);
  const KnownTable* const table = book_.find(raw_table);
  if (table == nullptr) described_nowhere_.emplace(raw_table);
  return table;
}

}  // namespace daystream::command
