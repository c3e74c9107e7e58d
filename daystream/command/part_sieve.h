// What one part of a consumer group is handed of a stream.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "consume_session.h"
#include "daystream/position.h"
#include "daystream/stream.h"
#include "format.h"
#include "sharing/store.h"
#include "table_book.h"

namespace daystream::command {

// Lines of rows go to the part that the hash of their key, or of their table, says
// (docs/groups.md#which-part). The same stream always gives the same parts, wherever the reading
// begins: what a line depends on stands in lines before it, which are looked for where need be.
//
// Threads: one.
class PartSieve final : public Sieve {
 public:
  struct Setup {
    const Stream& stream;  // must outlive it
    const sharing::Rule& rule;
    std::uint32_t part;
    Format format;
    // Seconds since 1970 before which a transaction is too old to be handed over; empty: none is.
    std::function<std::int64_t()> oldest = {};
  };
  // Reads on after `begin`.
  PartSieve(const Setup& setup, Position begin) : setup_(setup), before_(begin) {}

  bool wants(Transaction& transaction) override;
  void show(Transaction& transaction, Output& output) override;

  // Transactions that were too old, since it was asked last.
  std::uint64_t take_expired() noexcept { return std::exchange(expired_, 0); }

 private:
  // Calls `found` for each line of the part, until it returns false.
  void each_line(Transaction& transaction, const std::function<bool(const Line&)>& found);
  bool is_ours(const Change& change);
  std::optional<std::uint32_t> part_of(const Change& change);
  bool is_followed(std::string_view raw_table);
  const KnownTable* known(std::string_view raw_table);

  const Setup setup_;
  Position before_;  // the end of the transaction before the current one
  std::optional<Position> current_;
  TableBook book_;
  std::optional<TableBook> book_before_;  // as it was before a transaction that describes tables
  std::set<std::string, std::less<>> described_nowhere_;
  std::map<std::string, bool, std::less<>> followed_;  // answers of the table list
  std::uint64_t expired_ = 0;
};

}  // namespace daystream::command
