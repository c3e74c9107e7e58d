#include "schema.h"

#include <algorithm>

#include "description.h"
#include "grammar/escape.h"
#include "value_facts.h"

namespace deltaflood {

namespace {

struct SentSchema {
  Oid relid;  // the key
  Description last;
  uint32* types;  // syscache hashes of the types that its values are made of
  int type_count;
};

// A relation that the current transaction invalidates, or whose values are made of a type that it
// changes.
struct Touched {
  Oid relid;  // the key
  Description before;
  bool existed;        // before the transaction, with a line or not
  bool rows_left_out;  // it has been changed while it was not followed
  bool is_type;        // values of other relations are made of its rows
  bool users_touched;  // these others, too, and its partitions
  bool has_parts;      // filters know its partitions by its name, too
  bool dirty;          // invalidated since it was last compared
  Touched* next_dirty;
};

// Hashes of cache entries, as invalidations have them.
struct Hashes {
  uint32* items = nullptr;
  int count = 0;
};

void add_hash(Hashes* hashes, uint32 hash) {
  // Doubles at each power of two.
  const bool full = (hashes->count & (hashes->count - 1)) == 0;
  if (hashes->items == nullptr) {
    hashes->items = static_cast<uint32*>(palloc(sizeof(uint32)));
  } else if (full) {
    hashes->items = static_cast<uint32*>(
        repalloc_huge(hashes->items, sizeof(uint32) * 2 * static_cast<Size>(hashes->count)));
  }
  hashes->items[hashes->count++] = hash;
}

void sort(Hashes* hashes) {
  std::sort(hashes->items, hashes->items + hashes->count);
}

}  // namespace

struct Schemas {
  MemoryContext memory;       // of the connection
  MemoryContext transaction;  // of the transaction's own: `touched` and what it points to
  HTAB* sent;
  HTAB* sent_types;      // all hashes that any of `sent` has or had
  HTAB* touched;         // nullptr: the transaction has no DDL
  Touched* first_dirty;  // those that are, each once
  bool all_dirty;
  Hashes labels;  // of enums, that the transaction changes
};

namespace {

SentSchema* find_sent(Schemas* schemas, Oid relid, HASHACTION action) {
  bool found = false;
  auto* const sent = static_cast<SentSchema*>(hash_search(schemas->sent, &relid, action, &found));
  if (sent != nullptr && !found) {
    sent->last = kNothing;
    sent->types = nullptr;
    sent->type_count = 0;
  }
  return sent;
}

void forget(SentSchema* sent) {
  if (sent->last.table != nullptr) {
    pfree(sent->last.table);
    pfree(sent->last.shape);
    if (sent->last.bounds != nullptr) pfree(sent->last.bounds);
  }
  if (sent->types != nullptr) pfree(sent->types);
  sent->last = kNothing;
  sent->types = nullptr;
  sent->type_count = 0;
}

// The types whose new name changes a schema line.
void remember_types(Schemas* schemas, SentSchema* sent, Oid relid) {
  const Relation relation = RelationIdGetRelation(relid);
  if (!RelationIsValid(relation)) return;
  const TupleDesc shape = RelationGetDescr(relation);
  ValueFacts facts;
  for (int i = 0; i < shape->natts; ++i) add_type(&facts, TupleDescAttr(shape, i)->atttypid);
  RelationClose(relation);
  if (facts.types == NIL) return;
  sent->types = static_cast<uint32*>(MemoryContextAlloc(
      schemas->memory, sizeof(uint32) * static_cast<Size>(list_length(facts.types))));
  ListCell* cell = nullptr;
  foreach (cell, facts.types) {
    const uint32 hash = GetSysCacheHashValue1(TYPEOID, ObjectIdGetDatum(lfirst_oid(cell)));
    (void)hash_search(schemas->sent_types, &hash, HASH_ENTER, nullptr);
    sent->types[sent->type_count++] = hash;
  }
}

void write_schema(Schemas* schemas, const RowWriter& writer, Oid relid, const Description& now) {
  SentSchema* const sent = find_sent(schemas, relid, HASH_ENTER);
  forget(sent);
  sent->last.root = now.root;
  sent->last.shape = MemoryContextStrdup(schemas->memory, now.shape);
  if (now.bounds != nullptr) sent->last.bounds = MemoryContextStrdup(schemas->memory, now.bounds);
  sent->last.table = MemoryContextStrdup(schemas->memory, now.table);
  remember_types(schemas, sent, relid);
  const Options& options = *writer.options;
  StringInfo out = begin_line(writer.output);
  append(out, "_table");
  append(out, options.separator);
  begin_row_line(out, writer, now.table);
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
  begin_row_line(out, writer, last.table);
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
    write_drop(schemas, writer, relid, {table.data, nullptr, root, nullptr});
  }
  RelationClose(partition);
}

// Whether filters know the partitions of this relation by its name. (With partition-root the lines
// are of the root itself.)
bool names_parts(const Options& options, Oid relid) {
  return !options.partition_root && get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE;
}

// Whether a change of the relation's columns changes what values of others read as.
bool is_type(Oid relid) {
  if (get_rel_relkind(relid) == RELKIND_COMPOSITE_TYPE) return true;
  const Oid rows = get_rel_type_id(relid);
  return OidIsValid(rows) && add_users_of_type(NIL, rows) != NIL;
}

void compare(Schemas* schemas, const RowWriter& writer, Touched* touched) {
  touched->is_type = is_type(touched->relid);
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
    // partition, or is none any more, does. So do other bounds, also where it has no rows now: who
    // knows its rows by its bounds would take others for them when it goes.
    const bool is_part = is_partition && OidIsValid(now.root);
    if (is_part && last.root == now.root && has_same_bounds(last, now)) return;
    if (is_partition && !touched->existed && !was_sent && !touched->rows_left_out) return;
    if (OidIsValid(last.root) && last.root != now.root) {
      write_drop(schemas, writer, touched->relid, last);
    }
  }
  write_schema(schemas, writer, touched->relid, now);
}

void mark_dirty(Schemas* schemas, Touched* touched) {
  if (touched->dirty) return;
  touched->dirty = true;
  touched->next_dirty = schemas->first_dirty;
  schemas->first_dirty = touched;
}

void mark_all_dirty(Schemas* schemas) {
  schemas->all_dirty = false;
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, schemas->touched);
  while (auto* const touched = static_cast<Touched*>(hash_seq_search(&scan))) {
    mark_dirty(schemas, touched);
  }
}

void compare_dirty(Schemas* schemas, const RowWriter& writer) {
  if (schemas->touched == nullptr) return;
  if (schemas->all_dirty) mark_all_dirty(schemas);
  List* dirty = NIL;
  for (const Touched* touched = schemas->first_dirty; touched != nullptr;
       touched = touched->next_dirty) {
    dirty = lappend_oid(dirty, touched->relid);
  }
  schemas->first_dirty = nullptr;
  list_sort(dirty, list_oid_cmp);  // older tables first, not as a hash happens to have them
  List* present = NIL;
  // Drops first: a reader that goes by names must be rid of the old table before a new one of the
  // same name comes.
  ListCell* cell = nullptr;
  foreach (cell, dirty) {
    Oid relid = lfirst_oid(cell);
    auto* const touched =
        static_cast<Touched*>(hash_search(schemas->touched, &relid, HASH_FIND, nullptr));
    touched->dirty = false;
    if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid))) {
      present = lappend_oid(present, relid);
    } else {
      compare(schemas, writer, touched);
    }
  }
  foreach (cell, present) {
    Oid relid = lfirst_oid(cell);
    compare(schemas, writer,
            static_cast<Touched*>(hash_search(schemas->touched, &relid, HASH_FIND, nullptr)));
  }
}

// nullptr: it is no relation of the user's. `describe_before`: what it is now is what it was before
// the transaction; else that is not known, and a line says it.
Touched* touch_as(Schemas* schemas, const RowWriter& writer, Oid relid, bool describe_before) {
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
  touched->dirty = false;
  touched->is_type = false;
  touched->users_touched = false;
  touched->has_parts = false;
  touched->rows_left_out = false;
  touched->before = kNothing;
  touched->existed = SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid));
  mark_dirty(schemas, touched);
  if (!touched->existed) return touched;
  bool is_partition = false;
  if (describe_before) touched->before = describe_now(writer, relid, &is_partition);
  touched->is_type = is_type(relid);
  touched->has_parts = names_parts(*writer.options, relid);
  return touched;
}

Touched* touch(Schemas* schemas, const RowWriter& writer, Oid relid) {
  return touch_as(schemas, writer, relid, true);
}

void touch_list(Schemas* schemas, const RowWriter& writer, List* relations) {
  ListCell* cell = nullptr;
  foreach (cell, relations) (void)touch(schemas, writer, lfirst_oid(cell));
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

// A type's new name. Of tables without a line on this connection yet, the first change says it.
void touch_renamed(Schemas* schemas, const RowWriter& writer, const uint32* hashes, int count) {
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, schemas->sent);
  while (const auto* const sent = static_cast<const SentSchema*>(hash_seq_search(&scan))) {
    for (int i = 0; i < sent->type_count; ++i) {
      if (!std::binary_search(hashes, hashes + count, sent->types[i])) continue;
      (void)touch(schemas, writer, sent->relid);
      break;
    }
  }
}

// Values of whichever tables read otherwise when a label is renamed or a composite type has other
// attributes: these tables are found in the catalog, with a line on this connection or not. A
// transaction without such DDL pays a look-up for each relation that it invalidates.
void touch_all(Schemas* schemas, const RowWriter& writer, const ReorderBufferTXN* txn) {
  Hashes renamed;
  for (uint32 i = 0; i < txn->ninvalidations; ++i) {
    const SharedInvalidationMessage& message = txn->invalidations[i];
    if (message.id == SHAREDINVALRELCACHE_ID) {
      if (message.rc.dbId != MyDatabaseId) continue;
      const Oid relid = message.rc.relId;
      Touched* const touched = touch(schemas, writer, relid);
      if (touched == nullptr || touched->users_touched) continue;
      touched->users_touched = true;
      if (touched->has_parts) {
        touch_list(schemas, writer, find_all_inheritors(relid, NoLock, nullptr));
      }
      if (touched->is_type) {
        touch_list(schemas, writer, add_users_of_type(NIL, get_rel_type_id(relid)));
      }
    } else if (message.id == NAMESPACEOID) {
      touch_schema(schemas, writer, message.cc.hashValue);
    } else if (message.id == TYPEOID) {
      const uint32 hash = message.cc.hashValue;
      if (hash_search(schemas->sent_types, &hash, HASH_FIND, nullptr) != nullptr) {
        add_hash(&renamed, hash);
      }
    } else if (message.id == ENUMOID) {
      add_hash(&schemas->labels, message.cc.hashValue);
    }
  }
  const Hashes& labels = schemas->labels;
  if (labels.count != 0) {
    sort(&schemas->labels);
    touch_list(schemas, writer, add_users_of_labels(NIL, labels.items, labels.count));
  }
  if (renamed.count != 0) {
    sort(&renamed);
    touch_renamed(schemas, writer, renamed.items, renamed.count);
  }
}

// As in relation.cpp: registered once a process, for the context that decodes now.
Schemas* current = nullptr;

// Rows that come from here on are in the new words: schema lines go before them.
void touched_types_invalidated() {
  current->all_dirty = true;
  stale_relations();
}

extern "C" {

static void touched_invalidated(Datum, Oid relid) {
  if (current == nullptr || current->touched == nullptr || current->all_dirty) return;
  if (!OidIsValid(relid)) {
    current->all_dirty = true;
    return;
  }
  auto* const touched =
      static_cast<Touched*>(hash_search(current->touched, &relid, HASH_FIND, nullptr));
  if (touched == nullptr) return;
  mark_dirty(current, touched);
  if (touched->is_type || touched->has_parts) touched_types_invalidated();
}

// Of a schema or a label: which relations it concerns does not come with it.
static void touched_catalog_invalidated(Datum, int, uint32) {
  if (current != nullptr && current->touched != nullptr) touched_types_invalidated();
}

static void touched_type_invalidated(Datum, int, uint32 hash) {
  if (current == nullptr || current->touched == nullptr) return;
  if (hash == 0 || hash_search(current->sent_types, &hash, HASH_FIND, nullptr) != nullptr) {
    current->all_dirty = true;
  }
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
  CacheRegisterSyscacheCallback(TYPEOID, touched_type_invalidated, static_cast<Datum>(0));
  CacheRegisterSyscacheCallback(ENUMOID, touched_catalog_invalidated, static_cast<Datum>(0));
  registered = true;
}

void end_transaction(Schemas* schemas) {
  schemas->all_dirty = false;
  schemas->first_dirty = nullptr;
  if (schemas->touched == nullptr && schemas->labels.items == nullptr) return;
  schemas->touched = nullptr;
  schemas->labels = Hashes{};
  MemoryContextReset(schemas->transaction);
}

// Labels that have come: no value is one of them yet, but who reads must know what it is called
// now, to see later that it was renamed.
void touch_new_labels(Schemas* schemas, const RowWriter& writer) {
  const Hashes& labels = schemas->labels;
  if (labels.count == 0) return;
  ListCell* cell = nullptr;
  foreach (cell, add_users_of_labels(NIL, labels.items, labels.count)) {
    // Its root speaks for it; a line of its own would say that it has become a partition.
    if (writer.options->partition_root && get_rel_relispartition(lfirst_oid(cell))) continue;
    Touched* const touched = touch_as(schemas, writer, lfirst_oid(cell), false);
    if (touched != nullptr) mark_dirty(schemas, touched);
  }
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
  control.keysize = sizeof(uint32);
  control.entrysize = sizeof(uint32);
  schemas->sent_types =
      hash_create("deltaflood types", 128, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
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
  end_transaction(schemas);
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

void tell_left_out(Schemas* schemas, const RowWriter& writer, Oid changed, Oid described) {
  if (schemas->touched == nullptr) return;
  bool any = false;
  bool dirty = schemas->all_dirty;
  for (const Oid relid : {changed, described}) {
    auto* const touched =
        static_cast<Touched*>(hash_search(schemas->touched, &relid, HASH_FIND, nullptr));
    if (touched == nullptr) continue;
    any = true;
    dirty = dirty || touched->dirty;
    touched->rows_left_out = true;
  }
  if (any && dirty) compare_dirty(schemas, writer);
}

void commit_schemas(Schemas* schemas, const RowWriter& writer) {
  touch_new_labels(schemas, writer);
  compare_dirty(schemas, writer);
  end_transaction(schemas);
}

}  // namespace deltaflood
