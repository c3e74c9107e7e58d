// schema and drop lines: what the rows of a table look like, written when it is first met on a
// connection and in the transaction that changes it.
//
// How a transaction's DDL is seen: the server hands the transaction's cache invalidations over with
// it, all of them from its start. begin_schemas() notes what those relations were before; a
// relation is looked at again when decoding has come to its invalidation and a schema line is due,
// and at the commit. What differs from what was last sent (or, never sent, from what it was) is
// told. ANALYZE and CREATE INDEX invalidate as well and differ in nothing.
#pragma once

#include "row.h"

namespace deltaflood {

struct Schemas;

Schemas* open_schemas(MemoryContext parent);

// In the begin callback, before any change: the catalogues are still those from before.
void begin_schemas(Schemas* schemas, const RowWriter& writer, ReorderBufferTXN* txn);

// Before a change of a table whose lines `described` names: writes what the transaction's DDL has
// changed up to here, and `described` unless it is what was last sent.
void tell_schema(Schemas* schemas, const RowWriter& writer, Oid described);

// Before a change of `changed` that is left out, as `described` is not followed under its name of
// now: if the transaction's DDL has changed one of them, writes what that has changed up to here. A
// table that is followed under another name, or as a part of another table, has left the stream
// with that, even if it is what it was again when the transaction ends.
void tell_left_out(Schemas* schemas, const RowWriter& writer, Oid changed, Oid described);

// In the commit callback: writes what is left.
void commit_schemas(Schemas* schemas, const RowWriter& writer);

}  // namespace deltaflood
