#include "schema.h"

namespace deltaflood {

namespace {

struct SentSchema {
  Oid relid;   // the key
  char* line;  // as last sent, without its transaction; nullptr: not yet
};

}  // namespace

struct Schemas {
  MemoryContext memory;
  HTAB* sent;
};

namespace {

void append_numbers(StringInfo out, List* numbers) {
  bool first = true;
  ListCell* cell = nullptr;
  foreach (cell, numbers) {
    if (!first) append(out, ",");
    first = false;
    append_int(out, lfirst_int(cell));
  }
}

// What rows that were there before a column was added with a constant default take for it.
void append_missing(StringInfo out, const RowWriter& writer, TupleDesc shape, int index) {
  if (shape->constr == nullptr || shape->constr->missing == nullptr) return;
  const AttrMissing& missing = shape->constr->missing[index];
  if (!missing.am_present) return;
  const FormData_pg_attribute* const attribute = TupleDescAttr(shape, index);
  Column column;
  Oid function = InvalidOid;
  column.form = Form::Function;
  getTypeOutputInfo(attribute->atttypid, &function, &column.varlena);
  fmgr_info(function, &column.output);
  append(out, writer.options->separator);
  append(out, "_missing_");
  append_int(out, attribute->attnum);
  append(out, writer.options->separator);
  if (attribute->atttypid == BOOLOID && writer.options->convert_bool) {
    column.form = Form::Bool;
  }
  append_value(out, writer.encoding, column, missing.am_value);
}

bool told(const RowWriter& writer, const RelationName& name,
          const FormData_pg_attribute* attribute) {
  return !attribute->attisdropped && !is_virtual(attribute) &&
         !excludes_column(*writer.options, name.schema, name.table, NameStr(attribute->attname));
}

// What follows the transaction id; with the table's name, all that can change.
void append_shape(StringInfo out, const RowWriter& writer, Relation relation,
                  const RelationName& name) {
  const Options& options = *writer.options;
  const TupleDesc shape = RelationGetDescr(relation);
  append_key(out, options, "_oid");
  append_unsigned(out, RelationGetRelid(relation));
  const Oid root = partition_root_of(RelationGetRelid(relation), relation->rd_rel->relispartition);
  if (OidIsValid(root)) {
    append_key(out, options, "_root");
    append_unsigned(out, root);
  }
  append_key(out, options, "_identity");
  append(out, {&relation->rd_rel->relreplident, 1});
  List* const identity = index_columns(RelationGetReplicaIndex(relation));  // fills rd_pkindex
  append_key(out, options, "_pkey");
  append_numbers(out, index_columns(relation->rd_pkindex));
  append_key(out, options, "_ikey");
  append_numbers(out, identity);
  for (int i = 0; i < shape->natts; ++i) {
    if (told(writer, name, TupleDescAttr(shape, i))) append_missing(out, writer, shape, i);
  }
  append_action(out, options, "schema");
  for (int i = 0; i < shape->natts; ++i) {
    const FormData_pg_attribute* const attribute = TupleDescAttr(shape, i);
    if (!told(writer, name, attribute)) continue;
    append(out, options.separator);
    append_text(out, writer.encoding, NameStr(attribute->attname));
    append(out, options.separator);
    append_int(out, attribute->attnum);
    append(out, " ");
    append_text(out, writer.encoding,
                format_type_extended(attribute->atttypid, attribute->atttypmod,
                                     FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_ALLOW_INVALID));
    if (attribute->attnotnull) append(out, " not null");
  }
}

}  // namespace

Schemas* open_schemas(MemoryContext parent) {
  auto* const schemas = static_cast<Schemas*>(MemoryContextAllocZero(parent, sizeof(Schemas)));
  schemas->memory = AllocSetContextCreate(parent, "deltaflood schemas", ALLOCSET_DEFAULT_SIZES);
  HASHCTL control = {};
  control.keysize = sizeof(Oid);
  control.entrysize = sizeof(SentSchema);
  control.hcxt = schemas->memory;
  schemas->sent =
      hash_create("deltaflood schemas", 128, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
  return schemas;
}

void tell_schema(Schemas* schemas, const RowWriter& writer, Oid described) {
  const Relation relation = RelationIdGetRelation(described);
  if (!RelationIsValid(relation)) elog(ERROR, "could not open relation with OID %u", described);
  const RelationName name = relation_name(relation);
  StringInfoData line;
  initStringInfo(&line);
  append_key(&line, *writer.options, "_table");
  append_table(&line, writer.encoding, name);
  const int table_end = line.len;
  append_shape(&line, writer, relation, name);
  line.data[line.len] = '\0';
  RelationClose(relation);

  bool found = false;
  auto* const sent =
      static_cast<SentSchema*>(hash_search(schemas->sent, &described, HASH_ENTER, &found));
  if (!found) sent->line = nullptr;
  if (sent->line != nullptr && strcmp(sent->line, line.data) == 0) return;
  if (sent->line != nullptr) pfree(sent->line);
  sent->line = nullptr;
  sent->line = MemoryContextStrdup(schemas->memory, line.data);

  StringInfo out = begin_line(writer.output);
  const std::string_view text(line.data, static_cast<std::size_t>(line.len));
  const auto separator = writer.options->separator.size();
  append_head(out, writer, text.substr(separator, static_cast<std::size_t>(table_end) - separator));
  append(out, text.substr(static_cast<std::size_t>(table_end)));
  end_line(writer.output);
}

}  // namespace deltaflood
