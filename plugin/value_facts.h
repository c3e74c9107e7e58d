// What the text of a table's values depends on besides the values: the labels of enum types and the
// attributes of composite ones. ALTER TYPE … RENAME VALUE and ADD ATTRIBUTE change what rows read
// as without touching one of them.
#pragma once

#include "server.h"
#include "text.h"

namespace deltaflood {

// The user's own types that values are made of, through domains, arrays, ranges and each other. In
// the memory context of the caller of add_type().
struct ValueFacts {
  List* enums = NIL;       // OIDs of the types
  List* composites = NIL;  // OIDs of what pg_class has for the types
  List* seen = NIL;        // OIDs of types
};

void add_type(ValueFacts* facts, Oid type);

// Appends `_label_OID <TAB> LABEL` for each label, by the OID it has in pg_enum, and
// `_attributes_OID <TAB> 1,2` for each composite type, each with `separator` before it.
void append_value_facts(StringInfo out, Encoding* encoding, std::string_view separator,
                        const ValueFacts& facts);

}  // namespace deltaflood
