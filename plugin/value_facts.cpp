#include "value_facts.h"

namespace deltaflood {

namespace {

void add_composite(ValueFacts* facts, Oid relid) {
  const Relation composite = RelationIdGetRelation(relid);
  if (!RelationIsValid(composite)) return;
  facts->composites = lappend_oid(facts->composites, relid);
  const TupleDesc attributes = RelationGetDescr(composite);
  for (int i = 0; i < attributes->natts; ++i) {
    const FormData_pg_attribute* const attribute = TupleDescAttr(attributes, i);
    if (!attribute->attisdropped) add_type(facts, attribute->atttypid);
  }
  RelationClose(composite);
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
    append_unsigned(out, labels[i].oid);
    append(out, separator);
    append_text(out, encoding, labels[i].text);
  }
}

void append_attributes(StringInfo out, std::string_view separator, Oid relid) {
  const Relation composite = RelationIdGetRelation(relid);
  if (!RelationIsValid(composite)) return;
  append(out, separator);
  append(out, "_attributes_");
  append_unsigned(out, relid);
  append(out, separator);
  const TupleDesc attributes = RelationGetDescr(composite);
  List* numbers = NIL;
  for (int i = 0; i < attributes->natts; ++i) {
    const FormData_pg_attribute* const attribute = TupleDescAttr(attributes, i);
    if (!attribute->attisdropped) numbers = lappend_int(numbers, attribute->attnum);
  }
  append_numbers(out, numbers);
  RelationClose(composite);
}

}  // namespace

void add_type(ValueFacts* facts, Oid type) {
  // PostgreSQL's own are what they are.
  if (type < FirstNormalObjectId || list_member_oid(facts->seen, type)) return;
  facts->seen = lappend_oid(facts->seen, type);
  switch (get_typtype(type)) {
    case TYPTYPE_ENUM:
      facts->enums = lappend_oid(facts->enums, type);
      break;
    case TYPTYPE_COMPOSITE:
      add_composite(facts, get_typ_typrelid(type));
      break;
    case TYPTYPE_DOMAIN:
      add_type(facts, getBaseType(type));
      break;
    case TYPTYPE_RANGE:
      add_type(facts, get_range_subtype(type));
      break;
    case TYPTYPE_MULTIRANGE:
      add_type(facts, range_of_multirange(type));
      break;
    default:
      add_type(facts, get_element_type(type));
      break;
  }
}

void append_value_facts(StringInfo out, Encoding* encoding, std::string_view separator,
                        const ValueFacts& facts) {
  ListCell* cell = nullptr;
  foreach (cell, facts.enums) append_labels(out, encoding, separator, lfirst_oid(cell));
  foreach (cell, facts.composites) append_attributes(out, separator, lfirst_oid(cell));
}

}  // namespace deltaflood
