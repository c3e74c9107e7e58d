// A table as `schema` lines describe it: name, shape, key, what it is a partition of.
#pragma once

#include "relation.h"
#include "row.h"
#include "server.h"

namespace deltaflood {

// A relation as a schema line describes it, without the transaction.
struct Description {
  char* table;  // the name as `_table` has it; nullptr: there is no such table, or there are no
                // lines for it
  char* shape;  // all that follows the transaction id
  Oid root;     // the topmost table it is a partition of
  // With partition-root, of a partition: which of its root's rows it has, as text that is the same
  // where these are. Else nullptr.
  char* bounds;
};

constexpr Description kNothing = {nullptr, nullptr, InvalidOid, nullptr};

bool is_same(const Description& a, const Description& b);
bool has_same_bounds(const Description& a, const Description& b);

// In the current memory context.
Description describe(const RowWriter& writer, Relation relation);

// What the current snapshot has of `relid`; kNothing where filters or its kind leave it out.
// `is_partition` is set for those too.
Description describe_now(const RowWriter& writer, Oid relid, bool* is_partition);

}  // namespace deltaflood
