#include "relation.h"

#include <iterator>

#include "format.h"

extern "C" {
#include "access/relation.h"
}

namespace deltaflood {

struct Relations {
  const Options* options = nullptr;
  Encoding* encoding = nullptr;
  MemoryContext memory = nullptr;
  HTAB* table = nullptr;
  HTAB* ancestors = nullptr;  // of the partitions among them
  uint64 changed = 0;         // counts what makes all entries stale, from 1
  // By OID: most changes are of the tables of the changes before. Entries never move nor go.
  RelationEntry* recent[16] = {};
};

namespace {

// Invalidation callbacks cannot be unregistered, and a session may decode many times through the
// SQL functions: they are registered once and look here. One process decodes for one slot at a
// time.
Relations* current = nullptr;

// Without a walk over the entries: a transaction may bring hundreds of thousands of invalidations.
void stale_all() noexcept {
  ++current->changed;
}

extern "C" {

static void relation_invalidated(Datum, Oid relid) {
  if (current == nullptr) return;
  // A root's schema line is checked with its partitions' entries, and filters know a partition by
  // the name of what it is a part of, too: with these, entries of others are stale as well.
  if (!OidIsValid(relid) || current->options->partition_root ||
      hash_search(current->ancestors, &relid, HASH_FIND, nullptr) != nullptr) {
    stale_all();
    return;
  }
  auto* const entry =
      static_cast<RelationEntry*>(hash_search(current->table, &relid, HASH_FIND, nullptr));
  if (entry == nullptr) return;
  entry->built = 0;
}

// A schema or type was renamed, say: names within entries may be wrong.
static void catalog_invalidated(Datum, int, uint32) {
  if (current != nullptr) stale_all();
}

static void relations_gone(void* relations) {
  if (current == relations) current = nullptr;
}

}  // extern "C"

void register_callbacks() {
  static bool registered = false;
  if (registered) return;
  CacheRegisterRelcacheCallback(relation_invalidated, static_cast<Datum>(0));
  CacheRegisterSyscacheCallback(NAMESPACEOID, catalog_invalidated, static_cast<Datum>(0));
  registered = true;
}

// The types whose text is written without their output function. Domains are not among them: a
// column of a domain over boolean is what its output function says, as in pg-deltaflood (0c5cc0e).
Form form_of(const Options& options, Oid type) {
  switch (type) {
    case BOOLOID:
      return options.convert_bool ? Form::Bool : Form::Function;
    case INT2OID:
      return Form::Int2;
    case INT4OID:
      return Form::Int4;
    case INT8OID:
      return Form::Int8;
    case OIDOID:
      return Form::Oid;
    case FLOAT4OID:
      return Form::Float4;
    case FLOAT8OID:
      return Form::Float8;
    case DATEOID:
      return Form::Date;
    case TIMEOID:
      return Form::Time;
    case TIMESTAMPOID:
      return Form::Timestamp;
    case TIMESTAMPTZOID:
      return Form::TimestampTz;
    case UUIDOID:
      return Form::Uuid;
    case TEXTOID:
    case VARCHAROID:
    case BPCHAROID:
    case JSONOID:
      return Form::Text;
    case BYTEAOID:
      return Form::Bytea;
    default:
      return Form::Function;
  }
}

bool contains(List* numbers, int number) {
  return list_member_int(numbers, number);
}

void build_columns(Relations* relations, Plan* plan, Relation relation, const RelationName& name) {
  const Options& options = *relations->options;
  const TupleDesc shape = RelationGetDescr(relation);
  plan->columns = static_cast<Column*>(palloc0(sizeof(Column) * static_cast<Size>(shape->natts)));
  plan->values = static_cast<Datum*>(palloc(sizeof(Datum) * static_cast<Size>(shape->natts)));
  plan->nulls = static_cast<bool*>(palloc(sizeof(bool) * static_cast<Size>(shape->natts)));
  List* const identity = index_columns(RelationGetReplicaIndex(relation));
  plan->full_identity = relation->rd_rel->relreplident == REPLICA_IDENTITY_FULL;
  plan->has_identity = plan->full_identity || identity != NIL;
  StringInfoData text;
  initStringInfo(&text);
  for (int i = 0; i < shape->natts; ++i) {
    const FormData_pg_attribute* const attribute = TupleDescAttr(shape, i);
    if (attribute->attisdropped || is_virtual(attribute)) continue;
    const bool in_identity = contains(identity, attribute->attnum);
    if (excludes_column(options, name.schema, name.table, NameStr(attribute->attname))) {
      // Without all of its key a row cannot be named, and half a key would name others.
      if (in_identity) plan->has_identity = plan->full_identity;
      continue;
    }
    Column& column = plan->columns[plan->column_count++];
    column.index = static_cast<int16>(i);
    column.identity = in_identity;
    column.form = form_of(options, attribute->atttypid);
    Oid function = InvalidOid;
    getTypeOutputInfo(attribute->atttypid, &function, &column.varlena);
    fmgr_info_cxt(function, &column.output, plan->memory);
    resetStringInfo(&text);
    append(&text, options.separator);
    append_text(&text, relations->encoding, NameStr(attribute->attname));
    append(&text, options.separator);
    column.prefix = keep_padded(text);
    plan->fixed_bytes += column.prefix.size() + kMaxFixedText;
  }
}

void build_head(Relations* relations, Plan* plan, const RelationName& name) {
  const Options& options = *relations->options;
  StringInfoData text;
  initStringInfo(&text);
  append(&text, "_table");
  append(&text, options.separator);
  append_table(&text, relations->encoding, name);
  if (options.full_name) {
    append(&text, options.separator);
    append(&text, "_qualified_table");
    append(&text, options.separator);
    append_text(&text, relations->encoding, quote_qualified_identifier(name.schema, name.table));
  }
  plan->table_fields = keep_padded(text);
}

void remember_ancestors(Relations* relations, Oid partition) {
  ListCell* cell = nullptr;
  foreach (cell, get_partition_ancestors(partition)) {
    const Oid ancestor = lfirst_oid(cell);
    (void)hash_search(relations->ancestors, &ancestor, HASH_ENTER, nullptr);
  }
}

// `named` is what filters know `relation` by, and whose root or self the lines name.
void build_named(Relations* relations, Plan* plan, Relation relation, Relation named) {
  const Options& options = *relations->options;
  const Oid self = RelationGetRelid(named);
  const Oid root =
      options.partition_root ? partition_root_of(self, named->rd_rel->relispartition) : InvalidOid;
  plan->described = OidIsValid(root) ? root : self;
  if (named->rd_rel->relispartition) remember_ancestors(relations, self);
  // A materialized view is rewritten under the name of a table.
  plan->followed = named->rd_rel->relkind != RELKIND_MATVIEW && follows(options, named);
  if (!plan->followed) return;
  const Relation described = OidIsValid(root) ? open_relation(root) : named;
  const RelationName name = relation_name(described);
  build_head(relations, plan, name);
  build_columns(relations, plan, relation, name);
  if (described != named) RelationClose(described);
}

void build(Relations* relations, RelationEntry* entry, Relation relation) {
  Plan plan;
  plan.memory =
      AllocSetContextCreate(relations->memory, "deltaflood relation", ALLOCSET_SMALL_SIZES);
  const MemoryContext old = MemoryContextSwitchTo(plan.memory);
  const Oid original = relation->rd_rel->relrewrite;
  plan.rewrite = OidIsValid(original);
  const Relation named = plan.rewrite ? open_relation(original) : relation;
  build_named(relations, &plan, relation, named);
  if (named != relation) RelationClose(named);
  MemoryContextSwitchTo(old);
  if (entry->plan.memory != nullptr) MemoryContextDelete(entry->plan.memory);
  entry->plan = plan;
}

}  // namespace

void stale_relations() noexcept {
  if (current != nullptr) stale_all();
}

Relations* open_relations(const Options* options, Encoding* encoding, MemoryContext parent) {
  const MemoryContext memory =
      AllocSetContextCreate(parent, "deltaflood relations", ALLOCSET_DEFAULT_SIZES);
  auto* const relations =
      static_cast<Relations*>(MemoryContextAllocZero(memory, sizeof(Relations)));
  relations->options = options;
  relations->encoding = encoding;
  relations->changed = 1;
  relations->memory = memory;
  HASHCTL control = {};
  control.keysize = sizeof(Oid);
  control.entrysize = sizeof(RelationEntry);
  control.hcxt = memory;
  relations->table =
      hash_create("deltaflood relations", 128, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
  control.keysize = sizeof(Oid);
  control.entrysize = sizeof(Oid);
  relations->ancestors =
      hash_create("deltaflood ancestors", 32, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
  // shutdown_cb is not called after an error, the context's reset is.
  auto* const gone = static_cast<MemoryContextCallback*>(
      MemoryContextAllocZero(memory, sizeof(MemoryContextCallback)));
  gone->func = relations_gone;
  gone->arg = relations;
  MemoryContextRegisterResetCallback(memory, gone);
  register_callbacks();
  current = relations;
  return relations;
}

RelationEntry* relation_entry(Relations* relations, Relation relation) {
  Oid relid = RelationGetRelid(relation);
  RelationEntry*& recent = relations->recent[relid % std::size(relations->recent)];
  RelationEntry* entry = recent;
  if (entry == nullptr || entry->relid != relid) {
    bool found = false;
    entry = static_cast<RelationEntry*>(hash_search(relations->table, &relid, HASH_ENTER, &found));
    if (!found) {
      memset(static_cast<void*>(entry), 0, sizeof *entry);
      entry->relid = relid;
    }
    recent = entry;
  }
  if (entry->built != relations->changed) {
    // Set first: what is invalidated while it is built is stale at once.
    entry->built = relations->changed;
    entry->schema_checked = false;
    build(relations, entry, relation);
  }
  return entry;
}

Relation open_relation(Oid relid) {
  const Relation relation = RelationIdGetRelation(relid);
  if (!RelationIsValid(relation)) elog(ERROR, "could not open relation with OID %u", relid);
  return relation;
}

RelationName relation_name(Relation relation) {
  RelationName name;
  name.schema = get_namespace_name(RelationGetNamespace(relation));
  if (name.schema == nullptr) {
    elog(ERROR, "cache lookup failed for namespace %u", RelationGetNamespace(relation));
  }
  name.table = RelationGetRelationName(relation);
  return name;
}

bool follows(const Options& options, Relation relation) {
  const RelationName name = relation_name(relation);
  if (excludes_name(options, name.schema, name.table)) return false;
  bool followed = follows_name(options, name.schema, name.table);
  if (!relation->rd_rel->relispartition) return followed;
  List* const ancestors = get_partition_ancestors(RelationGetRelid(relation));
  if (options.partition_root && ancestors != NIL) followed = false;
  ListCell* cell = nullptr;
  foreach (cell, ancestors) {
    const Oid ancestor = lfirst_oid(cell);
    const char* const table = get_rel_name(ancestor);
    const char* const schema = get_namespace_name(get_rel_namespace(ancestor));
    if (table == nullptr || schema == nullptr) continue;
    if (excludes_name(options, schema, table)) return false;
    if (options.partition_root && ancestor != llast_oid(ancestors)) continue;
    followed = followed || follows_name(options, schema, table);
  }
  return followed;
}

bool is_left_out_of_root(const Options& options, Relation relation) {
  if (options.exclude_tables.count == 0 || follows(options, relation)) return false;
  const Oid root = partition_root_of(RelationGetRelid(relation), relation->rd_rel->relispartition);
  if (!OidIsValid(root)) return false;
  const char* const table = get_rel_name(root);
  const char* const schema = get_namespace_name(get_rel_namespace(root));
  return table != nullptr && schema != nullptr && follows_name(options, schema, table) &&
         !excludes_name(options, schema, table);
}

bool is_told(const Options& options, const FormData_pg_class* relation) noexcept {
  if (relation->relpersistence != RELPERSISTENCE_PERMANENT) return false;
  return relation->relkind == RELKIND_RELATION ||
         (relation->relkind == RELKIND_PARTITIONED_TABLE && options.partition_root);
}

void append_table(StringInfo out, Encoding* encoding, const RelationName& name) {
  if (strcmp(name.schema, "public") == 0) {
    append_text(out, encoding, quote_identifier(name.table));
  } else {
    append_text(out, encoding, quote_qualified_identifier(name.schema, name.table));
  }
}

Oid partition_root_of(Oid relid, bool is_partition) {
  if (!is_partition) return InvalidOid;
  List* const ancestors = get_partition_ancestors(relid);
  return ancestors == NIL ? InvalidOid : llast_oid(ancestors);
}

List* index_columns(Oid index) {
  if (!OidIsValid(index)) return NIL;
  const Relation relation = RelationIdGetRelation(index);
  if (!RelationIsValid(relation)) elog(ERROR, "could not open index with OID %u", index);
  List* columns = NIL;
  // From PostgreSQL 17 on rd_pkindex may be a deferrable key, which is no identity.
  const int count =
      relation->rd_index->indimmediate ? IndexRelationGetNumberOfKeyAttributes(relation) : 0;
  for (int i = 0; i < count; ++i) {
    columns = lappend_int(columns, relation->rd_index->indkey.values[i]);
  }
  RelationClose(relation);
  return columns;
}

}  // namespace deltaflood
