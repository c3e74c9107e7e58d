// What the plugin keeps of each relation, so that a change costs no catalogue look-up.
//
// Entries are found by OID and marked stale by the relation cache's own invalidations; a stale one
// is rebuilt from the relation at hand at its next change, under that change's historic snapshot.
#pragma once

#include "options.h"
#include "text.h"

namespace deltaflood {

// How a column's value becomes text.
enum class Form : uint8 {
  Function,  // the type's output function
  Bool,      // 1 and 0
  Int2,
  Int4,
  Int8,
  Oid,
  Float4,
  Float8,
  Date,
  Time,
  Timestamp,
  TimestampTz,
  Uuid,
  Text,  // the bytes of a varlena as they are: text, varchar, bpchar, json, xml
  Bytea,
};

struct Column {
  std::string_view prefix;  // separator, escaped name, separator
  FmgrInfo output = {};
  int16 index = 0;  // attribute number - 1
  Form form = Form::Function;
  bool varlena = false;
  bool identity = false;  // part of the replica identity
};

struct Plan {
  MemoryContext memory = nullptr;  // holds all below; deleted when the plan is rebuilt
  bool followed = false;
  bool full_identity = false;
  bool has_identity = false;      // old rows can be named
  bool rewrite = false;           // a table rewritten under a transient name
  Oid described = InvalidOid;     // whose name and schema lines: itself, its root, or the original
  std::string_view table_fields;  // `_table T [_qualified_table Q]`
  Column* columns = nullptr;      // without dropped and excluded ones
  int column_count = 0;
  std::size_t fixed_bytes = 0;  // most that prefixes and fixed-size values of a row take
  Datum* values = nullptr;      // scratch for one row of natts values
  bool* nulls = nullptr;
};

struct RelationEntry {
  Oid relid;     // the key
  uint64 built;  // the Relations' `changed` then, once it is; 0: it is to be built
  bool schema_checked;
  TransactionId rewrite_told;  // the transaction in which its `rewrite` line was written
  Plan plan;
};

struct Relations;

// One for each decoding context, in its memory. Registers for invalidations once a process.
Relations* open_relations(const Options* options, Encoding* encoding, MemoryContext parent);

// Has every entry built again at its relation's next change: what values read as may be another.
void stale_relations() noexcept;

// The entry of `relation`, up to date. Valid until the next call.
RelationEntry* relation_entry(Relations* relations, Relation relation);

// As RelationIdGetRelation, but an error where there is none. To be closed by the caller.
Relation open_relation(Oid relid);

// Names as they are now.
struct RelationName {
  const char* schema = nullptr;
  const char* table = nullptr;
};
RelationName relation_name(Relation relation);

// Whether filters let this relation through. A partition goes by its own name and by those of the
// tables it is a part of (with partition-root by its root's alone); any of them excluded excludes
// it.
bool follows(const Options& options, Relation relation);

// With partition-root: whether filters leave the rows of this partition out of those of its root,
// whose other partitions they let through.
bool is_left_out_of_root(const Options& options, Relation relation);

// Whether this kind of relation has lines at all: a permanent table, or with partition-root the
// table at the top of partitions. Materialized views are logged like tables, but their rows are
// nobody's changes.
bool is_told(const Options& options, const FormData_pg_class* relation) noexcept;

// Appends `_table`'s value: bare in `public`, else schema.table, quoted where SQL needs it.
void append_table(StringInfo out, Encoding* encoding, const RelationName& name);

// The topmost table that `relid` is a partition of; InvalidOid if it is none.
Oid partition_root_of(Oid relid, bool is_partition);

// The attribute numbers of an index's key columns, in its order; NIL for InvalidOid and for an
// index whose uniqueness is deferrable.
List* index_columns(Oid index);

}  // namespace deltaflood
