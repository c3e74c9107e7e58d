// A `schema` line, which a mirror makes tables of.
#include "daystream/error.h"
#include "model/meaning.h"
#include "model/mvcc_snapshot.h"
#include "model/shape.h"
#include "target.h"
#include "values/types.h"

using namespace deltamirror;

namespace {

void take_line(std::string_view text) {
  const daystream::Change change = daystream::parse_change(text);
  if (change.action != daystream::Action::Schema) return;
  const SchemaLine line = parse_schema(change);
  fuzz::require(difference(line.shape, line.shape).empty(), "a shape differs not from itself");
  fuzz::require(
      other_meaning(line.shape, line.facts, line.shape, line.facts).empty() || !line.facts.empty(),
      "nor do its values read otherwise");
  TypeNames types;
  types.take(line.facts);
  for (const SourceColumn& column : line.shape.columns) {
    types.resolve(column.type);
    types.underlying(column.type);
    types.scale(column.type);
  }
}

}  // namespace

FUZZ_TARGET(schema) {
  try {
    take_line(input);
  } catch (const daystream::ProtocolError&) {
  }
  try {
    parse_type_fact(input);
  } catch (const daystream::ProtocolError&) {
  }
  try {
    fuzz::require(MvccSnapshot::parse(MvccSnapshot::parse(input).text()).text() ==
                      MvccSnapshot::parse(input).text(),
                  "a snapshot is what it says");
  } catch (const daystream::ProtocolError&) {
  }
}
