// What the text of a table's values depends on besides the values: the type of each column and what
// that is made of. ALTER TYPE … RENAME VALUE, ADD ATTRIBUTE and a type of the same name made again
// change what rows read as without touching one of them.
//
// The lines are the plugin's half of one definition (FORMAT.md, "Types"); deltamirror's seed reads
// the same in the catalog (mirror/seed/source_catalog.cpp, read_value_facts).
#pragma once

#include "server.h"
#include "text.h"

namespace deltaflood {

// The types that values are made of, through domains, arrays, ranges and composites. In the memory
// context of the caller of add_type().
struct ValueFacts {
  List* types = NIL;  // OIDs, each once, in the order in which they were met
};

// Whether a type is not one that initdb gave for good.
bool is_changeable(Oid type) noexcept;

// Adds a column's type, and what it is made of, unless it is one of PostgreSQL's own: those are
// what they are.
void add_type(ValueFacts* facts, Oid type);

// Appends `_type_OID <TAB> WHAT` for each type and `_label_OID_OID <TAB> LABEL` for each label
// of an enum, by the OIDs of the type and of the label in pg_enum, each with `separator` before it.
void append_value_facts(StringInfo out, Encoding* encoding, std::string_view separator,
                        const ValueFacts& facts);

// The relations with columns whose values are made of `type`, each once, added to `relations`: as
// the current snapshot of the catalog has them.
List* add_users_of_type(List* relations, Oid type);
// The same for the enums that have one of the labels whose hashes in the system cache are `hashes`.
List* add_users_of_labels(List* relations, const uint32* hashes, int count);

}  // namespace deltaflood
