// `where`: its text, and its three truth values over rows.
#include "filter/expression.h"

#include "daystream/error.h"
#include "filter/row_filter.h"
#include "target.h"

using namespace deltamirror;

namespace {

Shape foxes() {
  Shape shape;
  shape.line_name = "fox";
  shape.columns = {{1, "id", "integer", true},      {2, "name", "text", false},
                   {3, "born", "date", false},      {4, "price", "numeric", false},
                   {5, "tame", "boolean", false},   {6, "at", "timestamp with time zone", false},
                   {7, "Odd\"Name", "text", false}, {8, "weight", "double precision", false}};
  return shape;
}

void bind(std::string_view text) {
  const Shape shape = foxes();
  const RowFilter filter(text, shape, {});
  const RowFilter again(filter.text(shape), shape, {});
  fuzz::require(again.text(shape) == filter.text(shape), "a filter has one text");
  fuzz::require(again.same_comparison(filter), "which compares as it did");
  filter.sql(shape);

  const std::vector<const Value*> unknown(filter.attnums().size(), nullptr);
  const Value null;
  const std::vector<const Value*> nulls(filter.attnums().size(), &null);
  const Truth any = filter.evaluate(unknown);
  const Truth of_nulls = filter.evaluate(nulls);
  fuzz::require((any.set() | of_nulls.set()) == any.set(), "what is not known may be NULL");
}

}  // namespace

FUZZ_TARGET(filter) {
  try {
    const std::string text = parse_filter(input).text();
    fuzz::require(parse_filter(text).text() == text, "the text of a tree is that of its tree");
    bind(input);
  } catch (const daystream::ConfigError&) {
  }
}
