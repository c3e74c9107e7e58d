#include "value_facts.h"

#include <algorithm>
#include <cstdint>

extern "C" {
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_depend.h"
#include "utils/fmgroids.h"
}

namespace deltaflood {

namespace {

// initdb gives the OIDs before it to what is PostgreSQL's own for good; what comes after it, the
// types of information_schema among it, may be dropped and made again. Mirrors know the number.
constexpr Oid kFirstChangeable = 12000;

void add(ValueFacts* facts, Oid type);

void add_attributes(ValueFacts* facts, Oid relid) {
  const Relation composite = RelationIdGetRelation(relid);
  if (!RelationIsValid(composite)) return;
  const TupleDesc attributes = RelationGetDescr(composite);
  for (int i = 0; i < attributes->natts; ++i) {
    const FormData_pg_attribute* const attribute = TupleDescAttr(attributes, i);
    if (!attribute->attisdropped) add(facts, attribute->atttypid);
  }
  RelationClose(composite);
}

// What is not PostgreSQL's own, and what that is made of, whosever it is.
void add(ValueFacts* facts, Oid type) {
  if (!OidIsValid(type) || list_member_oid(facts->types, type)) return;
  facts->types = lappend_oid(facts->types, type);
  if (!is_changeable(type)) return;
  switch (get_typtype(type)) {
    case TYPTYPE_COMPOSITE:
      add_attributes(facts, get_typ_typrelid(type));
      break;
    case TYPTYPE_DOMAIN: {
      // getBaseType() would skip the domains in between.
      const HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
      if (!HeapTupleIsValid(tuple)) break;
      const Oid base = reinterpret_cast<const FormData_pg_type*>(GETSTRUCT(tuple))->typbasetype;
      ReleaseSysCache(tuple);
      add(facts, base);
      break;
    }
    case TYPTYPE_RANGE:
      add(facts, get_range_subtype(type));
      break;
    case TYPTYPE_MULTIRANGE:
      add(facts, range_of_multirange(type));
      break;
    default:
      add(facts, get_element_type(type));
      break;
  }
}

struct Label {
  Oid oid;  // stays with a label that is renamed
  char* text;
};

int by_oid(const void* a, const void* b) {
  const Oid left = static_cast<const Label*>(a)->oid;
  const Oid right = static_cast<const Label*>(b)->oid;
  return left < right ? -1 : left > right;
}

void append_labels(StringInfo out, Encoding* encoding, std::string_view separator, Oid type) {
  CatCList* const list = SearchSysCacheList1(ENUMTYPOIDNAME, ObjectIdGetDatum(type));
  const int count = list->n_members;
  auto* const labels = static_cast<Label*>(palloc(sizeof(Label) * static_cast<Size>(count + 1)));
  for (int i = 0; i < count; ++i) {
    const auto* const form =
        reinterpret_cast<const FormData_pg_enum*>(GETSTRUCT(&list->members[i]->tuple));
    labels[i] = {form->oid, pstrdup(NameStr(form->enumlabel))};
  }
  ReleaseSysCacheList(list);
  qsort(labels, static_cast<size_t>(count), sizeof(Label), by_oid);
  for (int i = 0; i < count; ++i) {
    append(out, separator);
    append(out, "_label_");
    append_unsigned(out, type);
    append(out, "_");
    append_unsigned(out, labels[i].oid);
    append(out, separator);
    append_text(out, encoding, labels[i].text);
  }
}

void append_attributes(StringInfo out, Oid relid) {
  const Relation composite = RelationIdGetRelation(relid);
  if (!RelationIsValid(composite)) return;
  const TupleDesc attributes = RelationGetDescr(composite);
  bool first = true;
  for (int i = 0; i < attributes->natts; ++i) {
    const FormData_pg_attribute* const attribute = TupleDescAttr(attributes, i);
    if (attribute->attisdropped) continue;
    append(out, first ? " " : ",");
    first = false;
    append_int(out, attribute->attnum);
    append(out, ":");
    append_unsigned(out, attribute->atttypid);
  }
  RelationClose(composite);
}

void append_type(StringInfo out, Encoding* encoding, std::string_view separator, Oid type) {
  const HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
  if (!HeapTupleIsValid(tuple)) return;
  const FormData_pg_type form = *reinterpret_cast<const FormData_pg_type*>(GETSTRUCT(tuple));
  ReleaseSysCache(tuple);
  append(out, separator);
  append(out, "_type_");
  append_unsigned(out, type);
  append(out, separator);
  const Oid element = form.typtype == TYPTYPE_BASE ? get_element_type(type) : InvalidOid;
  switch (form.typtype) {
    case TYPTYPE_ENUM:
      append(out, "enum");
      break;
    case TYPTYPE_COMPOSITE:
      append(out, "composite");
      append_attributes(out, form.typrelid);
      break;
    case TYPTYPE_DOMAIN:
      append(out, "domain ");
      append_unsigned(out, form.typbasetype);
      if (form.typtypmod >= 0) {
        append(out, " typmod ");
        append_unsigned(out, static_cast<std::uint32_t>(form.typtypmod));
      }
      break;
    case TYPTYPE_RANGE:
      append(out, "range ");
      append_unsigned(out, get_range_subtype(type));
      break;
    case TYPTYPE_MULTIRANGE:
      append(out, "multirange ");
      append_unsigned(out, range_of_multirange(type));
      break;
    default:
      if (OidIsValid(element)) {
        append(out, "array ");
        append_unsigned(out, element);
      } else {
        append(out, "base");
      }
      break;
  }
  // What stands between the elements of its arrays, or of itself; a comma nearly always.
  if (form.typdelim != ',') {
    append(out, " delimiter ");
    append(out, {&form.typdelim, 1});
  }
  append(out, " named ");
  append_text(out, encoding, format_type_extended(type, -1, FORMAT_TYPE_ALLOW_INVALID));
  if (form.typtype == TYPTYPE_ENUM) append_labels(out, encoding, separator, type);
}

// What depends on a type: columns of relations, and other types that are made of it. `types` grows
// by the latter, and is gone through once.
void add_dependents(List** relations, List** types, Relation depend, Oid type) {
  ScanKeyData keys[2];
  ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
              ObjectIdGetDatum(TypeRelationId));
  ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
              ObjectIdGetDatum(type));
  const SysScanDesc scan =
      systable_beginscan(depend, DependReferenceIndexId, true, nullptr, 2, keys);
  for (;;) {
    const HeapTuple tuple = systable_getnext(scan);
    if (!HeapTupleIsValid(tuple)) break;
    const auto* const form = reinterpret_cast<const FormData_pg_depend*>(GETSTRUCT(tuple));
    if (form->classid == TypeRelationId) {
      *types = list_append_unique_oid(*types, form->objid);
    } else if (form->classid == RelationRelationId && form->objsubid > 0) {
      *relations = list_append_unique_oid(*relations, form->objid);
      // A composite type is a relation, and any table's rows are values of a type.
      const Oid rows = get_rel_type_id(form->objid);
      if (OidIsValid(rows)) *types = list_append_unique_oid(*types, rows);
    }
  }
  systable_endscan(scan);
}

List* add_users(List* relations, List* types) {
  const Relation depend = table_open(DependRelationId, AccessShareLock);
  for (int i = 0; i < list_length(types); ++i) {
    add_dependents(&relations, &types, depend, list_nth_oid(types, i));
  }
  table_close(depend, AccessShareLock);
  return relations;
}

}  // namespace

bool is_changeable(Oid type) noexcept {
  return type >= kFirstChangeable;
}

void add_type(ValueFacts* facts, Oid type) {
  if (is_changeable(type)) add(facts, type);
}

void append_value_facts(StringInfo out, Encoding* encoding, std::string_view separator,
                        const ValueFacts& facts) {
  ListCell* cell = nullptr;
  foreach (cell, facts.types) append_type(out, encoding, separator, lfirst_oid(cell));
}

List* add_users_of_type(List* relations, Oid type) {
  return add_users(relations, list_make1_oid(type));
}

List* add_users_of_labels(List* relations, const uint32* hashes, int count) {
  List* types = NIL;
  const Relation catalog = table_open(EnumRelationId, AccessShareLock);
  const SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, nullptr, 0, nullptr);
  for (;;) {
    const HeapTuple tuple = systable_getnext(scan);
    if (!HeapTupleIsValid(tuple)) break;
    const auto* const form = reinterpret_cast<const FormData_pg_enum*>(GETSTRUCT(tuple));
    const uint32 hash = GetSysCacheHashValue1(ENUMOID, ObjectIdGetDatum(form->oid));
    if (std::binary_search(hashes, hashes + count, hash)) {
      types = list_append_unique_oid(types, form->enumtypid);
    }
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  return types == NIL ? relations : add_users(relations, types);
}

}  // namespace deltaflood
