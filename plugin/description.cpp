#include "description.h"

#include <algorithm>
#include <string_view>

#include "grammar/escape.h"
#include "value_facts.h"

namespace deltaflood {

namespace {

// What the partitions' rows that were there before a column was added with a constant default take
// for it: the table at the top has no rows, so nothing is kept with it itself.
AttrMissing* partitions_missing(Relation root) {
  const TupleDesc shape = RelationGetDescr(root);
  auto* const missing = static_cast<AttrMissing*>(
      palloc0(sizeof(AttrMissing) * static_cast<Size>(std::max(shape->natts, 1))));
  ListCell* cell = nullptr;
  foreach (cell, find_all_inheritors(RelationGetRelid(root), NoLock, nullptr)) {
    const Relation partition = open_relation(lfirst_oid(cell));
    const TupleDesc its = RelationGetDescr(partition);
    for (int i = 0; i < shape->natts && its->constr != nullptr; ++i) {
      if (its->constr->missing == nullptr) break;
      const FormData_pg_attribute* const column = TupleDescAttr(shape, i);
      if (column->attisdropped || missing[i].am_present) continue;
      const AttrNumber number = get_attnum(RelationGetRelid(partition), NameStr(column->attname));
      if (number <= 0 || !its->constr->missing[number - 1].am_present) continue;
      const Datum value = its->constr->missing[number - 1].am_value;
      missing[i] = {true, datumCopy(value, column->attbyval, column->attlen)};
    }
    RelationClose(partition);
  }
  return missing;
}

const AttrMissing* missing_values(Relation relation) {
  if (relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE) return partitions_missing(relation);
  const TupleConstr* const constraints = RelationGetDescr(relation)->constr;
  return constraints == nullptr ? nullptr : constraints->missing;
}

// What rows that were there before a column was added with a constant default take for it.
void append_missing(StringInfo out, const RowWriter& writer, const FormData_pg_attribute* attribute,
                    const AttrMissing& missing) {
  if (!missing.am_present) return;
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

// The stored generated columns: lines have their values, but nobody may set them.
List* generated_columns(const RowWriter& writer, TupleDesc shape, const RelationName& name) {
  List* columns = NIL;
  for (int i = 0; i < shape->natts; ++i) {
    const FormData_pg_attribute* const attribute = TupleDescAttr(shape, i);
    if (attribute->attgenerated == '\0' || !told(writer, name, attribute)) continue;
    columns = lappend_int(columns, attribute->attnum);
  }
  return columns;
}

// The columns whose types are not PostgreSQL's own, with the OIDs of these: a name may come to be
// another type's.
void append_column_types(StringInfo out, const RowWriter& writer, TupleDesc shape,
                         const RelationName& name) {
  append_key(out, *writer.options, "_types");
  bool first = true;
  for (int i = 0; i < shape->natts; ++i) {
    const FormData_pg_attribute* const attribute = TupleDescAttr(shape, i);
    if (!told(writer, name, attribute) || !is_changeable(attribute->atttypid)) continue;
    if (!first) append(out, ",");
    first = false;
    append_int(out, attribute->attnum);
    append(out, ":");
    append_unsigned(out, attribute->atttypid);
  }
}

// The names of the columns, each with its number, its type and whether it may be NULL.
void append_columns(StringInfo out, const RowWriter& writer, TupleDesc shape,
                    const RelationName& name) {
  for (int i = 0; i < shape->natts; ++i) {
    const FormData_pg_attribute* const attribute = TupleDescAttr(shape, i);
    if (!told(writer, name, attribute)) continue;
    append(out, writer.options->separator);
    append_text(out, writer.encoding, NameStr(attribute->attname));
    append(out, writer.options->separator);
    append_int(out, attribute->attnum);
    append(out, " ");
    append_text(out, writer.encoding,
                format_type_extended(attribute->atttypid, attribute->atttypmod,
                                     FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_ALLOW_INVALID));
    if (attribute->attnotnull) append(out, " not null");
  }
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
  if (List* const generated = generated_columns(writer, shape, name); generated != NIL) {
    append_key(out, options, "_generated");
    append_numbers(out, generated);
  }
  const AttrMissing* const missing = missing_values(relation);
  for (int i = 0; i < shape->natts && missing != nullptr; ++i) {
    const FormData_pg_attribute* const attribute = TupleDescAttr(shape, i);
    if (told(writer, name, attribute)) append_missing(out, writer, attribute, missing[i]);
  }
  ValueFacts facts;
  for (int i = 0; i < shape->natts; ++i) {
    const FormData_pg_attribute* const attribute = TupleDescAttr(shape, i);
    if (told(writer, name, attribute)) add_type(&facts, attribute->atttypid);
  }
  if (facts.types != NIL) append_column_types(out, writer, shape, name);
  append_value_facts(out, writer.encoding, options.separator, facts);
  append_action(out, options, "schema");
  append_columns(out, writer, shape, name);
}

// What follows FOR VALUES, as the catalog has it, but without where in the statement it stood. No
// text of users is in there, values are bytes in numbers. (pg_get_expr() would say it shorter, but
// locks the table in later versions, and decoding must not wait for anyone.)
void append_bound(StringInfo out, Oid partition) {
  constexpr std::string_view kPlace = ":location ";
  const HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(partition));
  if (!HeapTupleIsValid(tuple)) return;
  bool is_null = false;
  const Datum stored = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_relpartbound, &is_null);
  if (!is_null) {
    char* const bound = TextDatumGetCString(stored);
    std::string_view rest = bound;
    for (auto at = rest.find(kPlace); at != rest.npos; at = rest.find(kPlace)) {
      append(out, rest.substr(0, at));
      rest.remove_prefix(at + kPlace.size());
      rest.remove_prefix(std::min(rest.find_first_not_of("-0123456789"), rest.size()));
    }
    append(out, rest);
    pfree(bound);
  }
  ReleaseSysCache(tuple);
}

// Of the partition itself and of all that it is a part of, for each of these has a bound, too. How
// a table is partitioned never changes.
void append_bounds(StringInfo out, Oid partition) {
  append_bound(out, partition);
  ListCell* cell = nullptr;
  foreach (cell, get_partition_ancestors(partition)) {
    append(out, " ");
    append_unsigned(out, lfirst_oid(cell));
    append_bound(out, lfirst_oid(cell));
  }
}

char* finish(StringInfo text) {
  text->data[text->len] = '\0';
  return text->data;
}

}  // namespace

bool is_same(const Description& a, const Description& b) {
  if (a.table == nullptr || b.table == nullptr) return a.table == b.table;
  return strcmp(a.table, b.table) == 0 && strcmp(a.shape, b.shape) == 0 && has_same_bounds(a, b);
}

bool has_same_bounds(const Description& a, const Description& b) {
  if (a.bounds == nullptr || b.bounds == nullptr) return a.bounds == b.bounds;
  return strcmp(a.bounds, b.bounds) == 0;
}

Description describe(const RowWriter& writer, Relation relation) {
  const RelationName name = relation_name(relation);
  StringInfoData table;
  StringInfoData shape;
  initStringInfo(&table);
  initStringInfo(&shape);
  append_table(&table, writer.encoding, name);
  append_shape(&shape, writer, relation, name);
  const Oid root = partition_root_of(RelationGetRelid(relation), relation->rd_rel->relispartition);
  if (!writer.options->partition_root || !OidIsValid(root)) {
    return {finish(&table), finish(&shape), root, nullptr};
  }
  StringInfoData bounds;
  initStringInfo(&bounds);
  append_bounds(&bounds, RelationGetRelid(relation));
  return {finish(&table), finish(&shape), root, finish(&bounds)};
}

Description describe_now(const RowWriter& writer, Oid relid, bool* is_partition) {
  *is_partition = false;
  const HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
  if (!HeapTupleIsValid(tuple)) return kNothing;
  const auto* const form = reinterpret_cast<const FormData_pg_class*>(GETSTRUCT(tuple));
  const bool told_kind = is_told(*writer.options, form) && !OidIsValid(form->relrewrite);
  *is_partition = form->relispartition;
  ReleaseSysCache(tuple);
  if (!told_kind) return kNothing;
  const Relation relation = RelationIdGetRelation(relid);
  if (!RelationIsValid(relation)) return kNothing;
  const Description result =
      follows(*writer.options, relation) ? describe(writer, relation) : kNothing;
  RelationClose(relation);
  return result;
}

}  // namespace deltaflood
