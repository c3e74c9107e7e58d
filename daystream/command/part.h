// A daystream that `split` or `merge` writes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daystream/writer.h"
#include "open_set.h"

namespace daystream::command {

// What marks say beside their LSN, as the input said it last.
struct InputFacts {
  std::int64_t clock = 0;  // `_c` of what was read last: parts keep their source's seconds
  std::optional<std::uint32_t> timeline;
  std::optional<std::uint64_t> next;
  std::int64_t proven_us = 0;  // up to when nothing of the source is missing; 0: not known
  // Other keys before the verb, asked for when they are due.
  std::function<std::vector<std::pair<std::string, std::string>>()> leading_fields = {};
};

// The facts with what only a mark has room for.
MarkFacts mark_facts(const InputFacts& facts);

// The part's own last LSN is its checkpoint: a transaction that is not past it has been here
// before.
//
// Ownership:  owns the Writer; borrows `facts`, which stay where they are.
// Invariant:  whatever is killed when, the durable lines are whole transactions of the input, in
//             order, and none is missing up to last_lsn().
class Part final : public OpenSet::Member {
 public:
  static constexpr std::size_t kDescriptors = 3;  // while it is open

  Part(const std::filesystem::path& directory, const Manifest& manifest, const InputFacts& facts);

  bool empty() const noexcept { return writer_.empty(); }
  Lsn last_lsn() const noexcept { return writer_.last_lsn(); }
  // Whether a transaction that ends at `lsn` is still to be written.
  bool needs(Lsn lsn) const noexcept { return lsn > writer_.last_lsn(); }

  const Holding& holding() const noexcept { return writer_.manifest().holdings.back(); }

  void append(std::string_view lines) { writer_.append(lines); }
  bool in_transaction() const noexcept { return writer_.in_transaction(); }
  // Writes the first line, or what the input says when it connects again, and declares `holding`.
  void begin(Lsn lsn, const Holding& holding);
  // Writes a mark, "nothing of this part up to `lsn`", if that is news.
  void mark(Lsn lsn);
  // Writes a gap unless it is there already. `before` is the input's last LSN before the gap.
  void gap(Lsn lsn, Lsn before);
  // Writes a gap that is known not to be there; `leading_fields` are keys before its verb.
  void new_gap(Lsn lsn, const std::vector<std::pair<std::string, std::string>>& leading_fields);
  void flush();

  bool may_close() const noexcept override { return !writer_.in_transaction(); }
  void close() override;

 private:
  const InputFacts& facts_;
  std::optional<Lsn> gap_;  // the last line is a gap with this LSN
  Writer writer_;
};

}  // namespace daystream::command
