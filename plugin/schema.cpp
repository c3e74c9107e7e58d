#include "schema.h"

#include "description.h"
#include "line.h"
#include "value_facts.h"

namespace deltaflood {

namespace {

struct SentSchema {
  Oid relid;  // the key
  Description last;
  uint32* types;  // syscache hashes of its columns' types that are the user's own
  int type_count;
  List* composites;  // OIDs of relations: the composite types that its values are made of
  bool has_enums;    // among the types that its values are made of
};

// A relation that the current transaction invalidates.
struct Touched {
  Oid relid;  // the key
  Description before;
  bool existed;   // before the transaction, told or not
  bool by_types;  // also: by a composite type that its values are made of
  bool dirty;     // invalidated since it was last compared
};

}  // namespace

struct Schemas {
  MemoryContext memory;       // of the connection
  MemoryContext transaction;  // of the transaction's own: `touched` and what it points to
  HTAB* sent;
  HTAB* touched;  // nullptr: the transaction has no DDL
};

namespace {

SentSchema* find_sent(Schemas* schemas, Oid relid, HASHACTION action) {
  bool found = false;
  auto* const sent = static_cast<SentSchema*>(hash_search(schemas->sent, &relid, action, &found));
  if (sent != nullptr && !found) {
    sent->last = kNothing;
    sent->types = nullptr;
    sent->type_count = 0;
    sent->composites = NIL;
    sent->has_enums = false;
  }
  return sent;
}

void forget(SentSchema* sent) {
  if (sent->last.table != nullptr) {
    pfree(sent->last.table);
    pfree(sent->last.shape);
  }
  if (sent->types != nullptr) pfree(sent->types);
  list_free(sent->composites);
  sent->last = kNothing;
  sent->types = nullptr;
  sent->type_count = 0;
  sent->composites = NIL;
  sent->has_enums = false;
}

uint32 type_hash(Oid type) {
  return GetSysCacheHashValue1(TYPEOID, ObjectIdGetDatum(type));
}

// The types whose renaming, or other labels or attributes, change a schema line.
void remember_types(Schemas* schemas, SentSchema* sent, Oid relid) {
  const Relation relation = RelationIdGetRelation(relid);
  if (!RelationIsValid(relation)) return;
  const TupleDesc shape = RelationGetDescr(relation);
  sent->types = static_cast<uint32*>(
      MemoryContextAlloc(schemas->memory, sizeof(uint32) * static_cast<Size>(shape->natts + 1)));
  ValueFacts facts;
  for (int i = 0; i < shape->natts; ++i) {
    const Oid type = TupleDescAttr(shape, i)->atttypid;
    if (type < FirstNormalObjectId) continue;
    sent->types[sent->type_count++] = type_hash(type);
    add_type(&facts, type);
  }
  RelationClose(relation);
  const MemoryContext old = MemoryContextSwitchTo(schemas->memory);
  sent->composites = list_copy(facts.composites);
  sent->has_enums = facts.enums != NIL;
  MemoryContextSwitchTo(old);
}

void write_schema(Schemas* schemas, const RowWriter& writer, Oid relid, const Description& now) {
  SentSchema* const sent = find_sent(schemas, relid, HASH_ENTER);
  forget(sent);
  sent->last.root = now.root;
  sent->last.shape = MemoryContextStrdup(schemas->memory, now.shape);
  sent->last.table = MemoryContextStrdup(schemas->memory, now.table);
  remember_types(schemas, sent, relid);
  const Options& options = *writer.options;
  StringInfo out = begin_line(writer.output);
  append(out, "_table");
  append(out, options.separator);
  append_head(out, writer, now.table);
  append(out, now.shape);
  end_line(writer.output);
}

// The table is gone from the stream: dropped, or by its new name, kind or persistence no longer one
// that is followed.
void write_drop(Schemas* schemas, const RowWriter& writer, Oid relid, const Description& last) {
  const Options& options = *writer.options;
  StringInfo out = begin_line(writer.output);
  append(out, "_table");
  append(out, options.separator);
  append_head(out, writer, last.table);
  append_key(out, options, "_oid");
  append_unsigned(out, relid);
  if (OidIsValid(last.root)) {
    append_key(out, options, "_root");
    append_unsigned(out, last.root);
  }
  append_action(out, options, "drop");
  end_line(writer.output);
  if (SentSchema* const sent = find_sent(schemas, relid, HASH_FIND)) forget(sent);
}

// With partition-root: a partition whose rows PostgreSQL does not decode (a foreign or an unlogged
// table), or that is excluded, makes its root one that cannot be followed any more, without a word
// of its own.
void tell_undecoded(Schemas* schemas, const RowWriter& writer, Oid relid) {
  const HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
  if (!HeapTupleIsValid(tuple)) return;
  const auto* const form = reinterpret_cast<const FormData_pg_class*>(GETSTRUCT(tuple));
  const bool undecoded =
      form->relkind == RELKIND_FOREIGN_TABLE ||
      (form->relkind == RELKIND_RELATION && form->relpersistence == RELPERSISTENCE_UNLOGGED);
  const Oid root = undecoded || form->relkind == RELKIND_RELATION
                       ? partition_root_of(relid, form->relispartition)
                       : InvalidOid;
  ReleaseSysCache(tuple);
  if (!OidIsValid(root)) return;
  const Relation partition = open_relation(relid);
  if (undecoded ? follows(*writer.options, partition)
                : is_left_out_of_root(*writer.options, partition)) {
    StringInfoData table;
    initStringInfo(&table);
    append_table(&table, writer.encoding, relation_name(partition));
    appendStringInfoChar(&table, '\0');
    write_drop(schemas, writer, relid, {table.data, nullptr, root});
  }
  RelationClose(partition);
}

void compare(Schemas* schemas, const RowWriter& writer, Touched* touched) {
  if (writer.options->partition_root) tell_undecoded(schemas, writer, touched->relid);
  const SentSchema* const sent = find_sent(schemas, touched->relid, HASH_FIND);
  const bool was_sent = sent != nullptr && sent->last.table != nullptr;
  const Description last = was_sent ? sent->last : touched->before;
  bool is_partition = false;
  const Description now = describe_now(writer, touched->relid, &is_partition);
  if (is_same(last, now)) return;
  if (now.table == nullptr) {
    write_drop(schemas, writer, touched->relid, last);
    touched->before = kNothing;  // told
    return;
  }
  if (writer.options->partition_root) {
    // Rows of partitions go out as their root's. A new partition is empty and changes nothing for a
    // reader of the root, nor does a partition's own shape; that a table with rows became a
    // partition, or is none any more, does.
    if (is_partition && OidIsValid(now.root) && last.root == now.root) return;
    if (is_partition && !touched->existed && !was_sent) return;
    if (OidIsValid(last.root) && last.root != now.root) {
      write_drop(schemas, writer, touched->relid, last);
    }
  }
  write_schema(schemas, writer, touched->relid, now);
}

void compare_dirty(Schemas* schemas, const RowWriter& writer) {
  if (schemas->touched == nullptr) return;
  List* dirty = NIL;
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, schemas->touched);
  while (auto* const touched = static_cast<Touched*>(hash_seq_search(&scan))) {
    if (touched->dirty) dirty = lappend_oid(dirty, touched->relid);
  }
  list_sort(dirty, list_oid_cmp);  // older tables first, not as a hash happens to have them
  // Drops first: a reader that goes by names must be rid of the old table before a new one of the
  // same name comes.
  for (const bool drops : {true, false}) {
    ListCell* cell = nullptr;
    foreach (cell, dirty) {
      Oid relid = lfirst_oid(cell);
      auto* const touched =
          static_cast<Touched*>(hash_search(schemas->touched, &relid, HASH_FIND, nullptr));
      if (!touched->dirty) continue;
      const bool gone = !SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid));
      if (gone != drops) continue;
      touched->dirty = false;
      compare(schemas, writer, touched);
    }
  }
}

Touched* touch(Schemas* schemas, const RowWriter& writer, Oid relid) {
  if (relid < FirstNormalObjectId) return nullptr;
  if (schemas->touched == nullptr) {
    HASHCTL control = {};
    control.keysize = sizeof(Oid);
    control.entrysize = sizeof(Touched);
    control.hcxt = schemas->transaction;
    schemas->touched =
        hash_create("deltaflood DDL", 32, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
  }
  bool found = false;
  auto* const touched =
      static_cast<Touched*>(hash_search(schemas->touched, &relid, HASH_ENTER, &found));
  if (found) return touched;
  bool is_partition = false;
  touched->dirty = true;
  touched->by_types = false;
  touched->before = kNothing;
  touched->existed = SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid));
  touched->before = describe_now(writer, relid, &is_partition);
  return touched;
}

// Every table of a renamed schema has a new name, though only the schema is invalidated.
void touch_schema(Schemas* schemas, const RowWriter& writer, uint32 hash) {
  const Relation catalog = table_open(RelationRelationId, AccessShareLock);
  const SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, nullptr, 0, nullptr);
  Oid last = InvalidOid;
  bool last_matches = false;
  for (;;) {
    const HeapTuple tuple = systable_getnext(scan);
    if (!HeapTupleIsValid(tuple)) break;
    const auto* const form = reinterpret_cast<const FormData_pg_class*>(GETSTRUCT(tuple));
    if (form->relnamespace != last) {
      last = form->relnamespace;
      last_matches = GetSysCacheHashValue1(NAMESPACEOID, ObjectIdGetDatum(last)) == hash;
    }
    if (last_matches && is_told(*writer.options, form)) touch(schemas, writer, form->oid);
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
}

void touch_type(Schemas* schemas, const RowWriter& writer, uint32 hash) {
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, schemas->sent);
  while (const auto* const sent = static_cast<const SentSchema*>(hash_seq_search(&scan))) {
    for (int i = 0; i < sent->type_count; ++i) {
      if (sent->types[i] != hash) continue;
      touch(schemas, writer, sent->relid);
      break;
    }
  }
}

// A composite type's attributes are invalidated as a relation's.
void touch_composite(Schemas* schemas, const RowWriter& writer, Oid composite) {
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, schemas->sent);
  while (const auto* const sent = static_cast<const SentSchema*>(hash_seq_search(&scan))) {
    if (!list_member_oid(sent->composites, composite)) continue;
    if (Touched* const touched = touch(schemas, writer, sent->relid)) touched->by_types = true;
  }
}

// A label of an enum type: which type it concerns is not told with it.
void touch_enums(Schemas* schemas, const RowWriter& writer) {
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, schemas->sent);
  while (const auto* const sent = static_cast<const SentSchema*>(hash_seq_search(&scan))) {
    if (sent->has_enums) touch(schemas, writer, sent->relid);
  }
}

void touch_all(Schemas* schemas, const RowWriter& writer, const ReorderBufferTXN* txn) {
  for (uint32 i = 0; i < txn->ninvalidations; ++i) {
    const SharedInvalidationMessage& message = txn->invalidations[i];
    if (message.id == SHAREDINVALRELCACHE_ID) {
      if (message.rc.dbId != MyDatabaseId) continue;
      touch(schemas, writer, message.rc.relId);
      touch_composite(schemas, writer, message.rc.relId);
    } else if (message.id == NAMESPACEOID) {
      touch_schema(schemas, writer, message.cc.hashValue);
    } else if (message.id == TYPEOID) {
      touch_type(schemas, writer, message.cc.hashValue);
    } else if (message.id == ENUMOID) {
      touch_enums(schemas, writer);
    }
  }
}

// As in relation.cpp: registered once a process, for the context that decodes now.
Schemas* current = nullptr;

extern "C" {

static void touched_invalidated(Datum, Oid relid) {
  if (current == nullptr || current->touched == nullptr) return;
  if (OidIsValid(relid)) {
    auto* const touched =
        static_cast<Touched*>(hash_search(current->touched, &relid, HASH_FIND, nullptr));
    if (touched != nullptr) touched->dirty = true;
  }
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, current->touched);
  while (auto* const touched = static_cast<Touched*>(hash_seq_search(&scan))) {
    if (!OidIsValid(relid) || touched->by_types) touched->dirty = true;
  }
}

// Of a schema or a type: which relations it concerns is not told with it.
static void touched_catalog_invalidated(Datum, int, uint32) {
  touched_invalidated(static_cast<Datum>(0), InvalidOid);
}

static void schemas_gone(void* schemas) {
  if (current == schemas) current = nullptr;
}

}  // extern "C"

void register_callbacks() {
  static bool registered = false;
  if (registered) return;
  CacheRegisterRelcacheCallback(touched_invalidated, static_cast<Datum>(0));
  CacheRegisterSyscacheCallback(NAMESPACEOID, touched_catalog_invalidated, static_cast<Datum>(0));
  CacheRegisterSyscacheCallback(TYPEOID, touched_catalog_invalidated, static_cast<Datum>(0));
  CacheRegisterSyscacheCallback(ENUMOID, touched_catalog_invalidated, static_cast<Datum>(0));
  registered = true;
}

}  // namespace

Schemas* open_schemas(MemoryContext parent) {
  const MemoryContext memory =
      AllocSetContextCreate(parent, "deltaflood schemas", ALLOCSET_DEFAULT_SIZES);
  auto* const schemas = static_cast<Schemas*>(MemoryContextAllocZero(memory, sizeof(Schemas)));
  schemas->memory = memory;
  schemas->transaction = AllocSetContextCreate(memory, "deltaflood DDL", ALLOCSET_DEFAULT_SIZES);
  HASHCTL control = {};
  control.keysize = sizeof(Oid);
  control.entrysize = sizeof(SentSchema);
  control.hcxt = memory;
  schemas->sent =
      hash_create("deltaflood schemas", 128, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
  auto* const gone = static_cast<MemoryContextCallback*>(
      MemoryContextAllocZero(memory, sizeof(MemoryContextCallback)));
  gone->func = schemas_gone;
  gone->arg = schemas;
  MemoryContextRegisterResetCallback(memory, gone);
  register_callbacks();
  current = schemas;
  return schemas;
}

void begin_schemas(Schemas* schemas, const RowWriter& writer, ReorderBufferTXN* txn) {
  if (schemas->touched != nullptr) {
    schemas->touched = nullptr;
    MemoryContextReset(schemas->transaction);
  }
  const MemoryContext old = MemoryContextSwitchTo(schemas->transaction);
  touch_all(schemas, writer, txn);
  // Those of a subtransaction are kept with it where its parent was not yet known.
  // ilist.h's macros are C only.
  const dlist_node* const end = &txn->subtxns.head;
  for (const dlist_node* node = end->next; node != nullptr && node != end; node = node->next) {
    const char* const bytes = reinterpret_cast<const char*>(node);
    touch_all(schemas, writer,
              reinterpret_cast<const ReorderBufferTXN*>(bytes - offsetof(ReorderBufferTXN, node)));
  }
  MemoryContextSwitchTo(old);
}

void tell_schema(Schemas* schemas, const RowWriter& writer, Oid described) {
  compare_dirty(schemas, writer);
  const SentSchema* const sent = find_sent(schemas, described, HASH_FIND);
  const Relation relation = RelationIdGetRelation(described);
  if (!RelationIsValid(relation)) elog(ERROR, "could not open relation with OID %u", described);
  const Description now = describe(writer, relation);
  RelationClose(relation);
  if (sent != nullptr && is_same(sent->last, now)) return;
  write_schema(schemas, writer, described, now);
}

void commit_schemas(Schemas* schemas, const RowWriter& writer) {
  compare_dirty(schemas, writer);
  if (schemas->touched == nullptr) return;
  schemas->touched = nullptr;
  MemoryContextReset(schemas->transaction);
}

}  // namespace deltaflood
