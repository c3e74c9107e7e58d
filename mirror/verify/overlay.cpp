#include "verify/overlay.h"

#include <algorithm>

#include "apply/needs_reseed.h"

namespace deltamirror {

using daystream::Change;
using daystream::Transaction;

namespace {

// With more, a copy of the mirror is the cheaper way.
constexpr std::size_t kMostOverlaid = 200'000;

}  // namespace

Overlay::Overlay(Database& mirror, const std::vector<MirroredTable>& tables)
    : mirror_(mirror), tables_(tables), touched_(tables) {}

const Overlay::Part* Overlay::part(std::uint32_t oid) const {
  const auto found = parts_.find(oid);
  return found == parts_.end() ? nullptr : &found->second;
}

bool Overlay::take(Transaction& transaction, const MvccSnapshot& upto) {
  if (transaction.kind() == Transaction::Kind::Gap) return false;
  if (transaction.kind() == Transaction::Kind::Mark) return true;
  const Change& end = transaction.end();
  const std::uint64_t xid =
      end.xid == 0 || !end.next ? 0 : daystream::widen_xid(end.xid, *end.next);
  if (xid != 0 && !upto.sees(xid)) return true;
  // After a fresh seed the stream says much that all of the seed has seen.
  const bool known =
      xid != 0 && std::all_of(tables_.begin(), tables_.end(), [&](const auto& table) {
        return table.is_static() || table.seed.snapshot.sees(xid);
      });
  if (known) return true;
  for (daystream::Line line; transaction.next_line(line);) {
    if (!apply(daystream::parse_change(line.body), xid)) return false;
  }
  return true;
}

bool Overlay::apply(const Change& change, std::uint64_t xid) {
  const MirroredTable* const table = touched_.followed(change);
  if (table == nullptr || (xid != 0 && table->seed.snapshot.sees(xid))) return true;
  const std::uint32_t oid = table->shape.oid;
  touched_.take(change, [&](const std::vector<Value>& key) {
    Part& part = parts_[oid];
    if (part.rows == nullptr) part.rows = std::make_unique<SideRows>(mirror_, *table);
    part.rows->add_key(key);
    if (part.rows->add_row_of_mirror(key)) ++part.in_mirror;
  });
  if (touched_.whole_table(oid) || touched_.count() > kMostOverlaid) return false;
  if (change.oid != 0) return true;  // a shape known already
  try {
    parts_.at(oid).rows->plan().apply(change);
  } catch (const NeedsReseed&) {
    return false;
  }
  return true;
}

}  // namespace deltamirror
