// schema and drop lines: what the rows of a table look like, told when it is first met and in the
// transaction that changes it.
#pragma once

#include "row.h"

namespace deltaflood {

struct Schemas;

Schemas* open_schemas(MemoryContext parent);

// Writes the schema line of `described` unless it is what was last sent.
void tell_schema(Schemas* schemas, const RowWriter& writer, Oid described);

}  // namespace deltaflood
