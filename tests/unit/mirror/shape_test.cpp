#include "model/shape.h"

#include <catch2/catch.hpp>

#include "daystream/error.h"

using namespace deltamirror;

namespace {

const std::string kLine =
    "_table\tops.t\t_xid\t7\t_oid\t16384\t_identity\td\t_pkey\t1,3\t_ikey\t\t_missing_4\ta\\tb\t"
    "_action\tschema\tid\t1 bigint not null\tb\\tc\t3 numeric(10,2) not null\tadded\t4 text";

SchemaLine parsed(const std::string& line) {
  return parse_schema(daystream::parse_change(line));
}

}  // namespace

TEST_CASE("shape: a schema line tells columns, key and missing values", "[mirror][shape]") {
  const SchemaLine line = parsed(kLine);
  CHECK(line.shape.oid == 16384);
  CHECK(line.shape.line_name == "ops.t");
  CHECK(line.shape.row_key() == std::vector<int>{1, 3});
  REQUIRE(line.shape.columns.size() == 3);
  CHECK(line.shape.columns[1] == SourceColumn{3, "b\tc", "numeric(10,2)", true});
  CHECK(line.shape.columns[2] == SourceColumn{4, "added", "text", false});
  REQUIRE(line.missing.size() == 1);
  CHECK(line.missing[0].first == 4);
  CHECK(line.missing[0].second == "a\tb");
}

TEST_CASE("shape: what names a row depends on the replica identity", "[mirror][shape]") {
  Shape shape;
  shape.primary_key = {1};
  shape.identity_key = {2};
  CHECK(shape.row_key() == std::vector<int>{1});
  shape.identity = 'i';
  CHECK(shape.row_key() == std::vector<int>{2});
  shape.identity = 'f';
  CHECK(shape.row_key() == std::vector<int>{1});
  shape.identity = 'n';
  CHECK(shape.row_key().empty());
}

TEST_CASE("shape: a difference is told in words", "[mirror][shape]") {
  const Shape from = parsed(kLine).shape;
  CHECK(difference(from, from).empty());
  Shape to = from;
  to.columns[0].name = "ident";
  to.columns[2].type = "integer";
  to.columns.push_back({5, "more", "text", false});
  CHECK(difference(from, to) ==
        "column \"id\" is now \"ident\", column \"added\" is now integer, was text, "
        "column \"more\" text is new");
}

TEST_CASE("shape: a line tells what its columns' types are", "[mirror][shape]") {
  std::string text = kLine;
  text.insert(text.find("_action"),
              "_types\t3:17000\t_type_17000\tenum named a.b\t_label_17000_18\ta\\tb\t");
  const SchemaLine line = parsed(text);
  CHECK(line.facts == ValueFacts{{"_type_17000", "enum named a.b"}, {"_label_17000_18", "a\tb"}});
  CHECK(line.shape.column(3)->type_oid == 17000);
  CHECK(line.shape.column(1)->type_oid == 0);
  Shape other = line.shape;
  other.columns.back().type_oid = 17001;
  CHECK(difference(line.shape, other).find("is of another type called") != std::string::npos);
  text.replace(text.find("3:17000"), 7, "3-17000");
  CHECK_THROWS_AS(parsed(text), daystream::ProtocolError);
}

TEST_CASE("shape: a schema line that lacks what it must have is refused", "[mirror][shape]") {
  CHECK_THROWS_AS(parsed("_table\tt\t_xid\t7\t_action\tschema\ta\t1 text"),
                  daystream::ProtocolError);
  CHECK_THROWS_AS(parsed("_table\tt\t_xid\t7\t_oid\t5\t_identity\td\t_action\tschema\ta\ttext"),
                  daystream::ProtocolError);
}
