// Whether what is stored reads as it did.
#include "model/meaning.h"

#include <catch2/catch.hpp>

#include "daystream/error.h"
#include "values/types.h"

using namespace deltamirror;

namespace {

struct Told {
  SourceColumn column;
  ValueFacts facts;
};

Told plain(const std::string& type) {
  return {{.attnum = 1, .name = "c", .type = type}, {}};
}
Told of(std::uint32_t oid, const std::string& type, ValueFacts facts) {
  return {{.attnum = 1, .name = "c", .type = type, .type_oid = oid}, std::move(facts)};
}
std::string other(const Told& from, const Told& to) {
  return other_meaning(from.column, from.facts, to.column, to.facts);
}
bool same(const Told& from, const Told& to) {
  return other(from, to).empty();
}

}  // namespace

TEST_CASE("meaning: PostgreSQL's own types are known by their names", "[mirror][meaning]") {
  CHECK(same(plain("integer"), plain("integer")));
  CHECK(same(plain("character varying(5)"), plain("character varying(10)")));
  CHECK(same(plain("character varying(5)"), plain("text")));
  CHECK(same(plain("text"), plain("character varying")));
  CHECK(same(plain("numeric(5,2)"), plain("numeric")));
  CHECK(same(plain("timestamp(3) with time zone"), plain("timestamp with time zone")));
  CHECK(same(plain("bit(4)"), plain("bit varying(9)")));
  CHECK(same(plain("character varying(5)[]"), plain("text[]")));
  CHECK(other(plain("cidr"), plain("inet")) == "of type cidr, it is now inet");
  CHECK_FALSE(same(plain("cidr[]"), plain("inet[]")));
  CHECK_FALSE(same(plain("integer"), plain("oid")));
  CHECK_FALSE(same(plain("oid"), plain("regclass")));
  CHECK_FALSE(same(plain("xml"), plain("text")));
  CHECK_FALSE(same(plain("integer"), plain("integer[]")));
}

TEST_CASE("meaning: a domain reads as what is below it", "[mirror][meaning]") {
  const ValueFacts over_varchar = {{"_type_17000", "domain 17001 named public.d"},
                                   {"_type_17001", "domain 1043 named public.e"},
                                   {"_type_1043", "base named character varying"}};
  CHECK(same(of(17000, "public.d", over_varchar), plain("text")));
  CHECK(same(plain("text"), of(17000, "public.d", over_varchar)));
  CHECK_FALSE(same(of(17000, "public.d", over_varchar), plain("bytea")));
  const ValueFacts over_cidr = {{"_type_17000", "domain 650 named public.d"},
                                {"_type_650", "base named cidr"}};
  CHECK_FALSE(same(of(17000, "public.d", over_cidr), plain("inet")));
  // Of the same name, and made again.
  const ValueFacts over_bool = {{"_type_18000", "domain 16 named public.d"},
                                {"_type_16", "base named boolean"}};
  CHECK_FALSE(same(of(17000, "public.d", over_varchar), of(18000, "public.d", over_bool)));
}

TEST_CASE("meaning: labels may come, and may not take another name", "[mirror][meaning]") {
  const ValueFacts was = {{"_type_17000", "enum named public.mood"},
                          {"_label_17000_1", "calm"},
                          {"_label_17000_2", "wild"},
                          {"_label_17009_3", "of another"}};
  ValueFacts now = was;
  now["_label_17000_9"] = "new";
  now["_label_17009_3"] = "of another, renamed";
  const Told before = of(17000, "public.mood", was);
  CHECK(same(before, of(17000, "public.temper", now)));
  now["_label_17000_1"] = "quiet";
  CHECK(other(before, of(17000, "public.mood", now)) ==
        "the value \"calm\" of an enum is now called \"quiet\"");
  // The same labels, another type.
  ValueFacts anew = {{"_type_18000", "enum named public.mood"}, {"_label_18000_1", "calm"}};
  CHECK(other(before, of(18000, "public.mood", anew)) ==
        "its type public.mood is another one of that name");
}

TEST_CASE("meaning: it is looked for in arrays, ranges and composites", "[mirror][meaning]") {
  ValueFacts facts = {{"_type_17000", "array 17001 named public.pair[]"},
                      {"_type_17001", "composite 1:23,2:17002 named public.pair"},
                      {"_type_23", "base named integer"},
                      {"_type_17002", "multirange 17003 named public.span_m"},
                      {"_type_17003", "range 17004 named public.span"},
                      {"_type_17004", "enum named public.mood"},
                      {"_label_17004_1", "calm"}};
  const Told before = of(17000, "public.pair[]", facts);
  CHECK(same(before, before));
  ValueFacts now = facts;
  now["_label_17004_1"] = "quiet";
  CHECK_FALSE(same(before, of(17000, "public.pair[]", now)));
  now = facts;
  now["_type_17001"] = "composite 1:23 named public.pair";
  CHECK(other(before, of(17000, "public.pair[]", now)) ==
        "its composite type public.pair has other attributes");
  now["_type_17001"] = "composite 1:23,3:17002 named public.pair";
  CHECK_FALSE(same(before, of(17000, "public.pair[]", now)));
  now["_type_17001"] = "composite 1:25,2:17002 named public.pair";
  now["_type_25"] = "base named text";
  CHECK_FALSE(same(before, of(17000, "public.pair[]", now)));
  now = facts;
  now["_type_17000"] = "array 17001 delimiter : named public.pair[]";
  CHECK_FALSE(same(before, of(17000, "public.pair[]", now)));
}

TEST_CASE("meaning: a fact that is none is refused", "[mirror][meaning]") {
  for (const char* text : {"", "enum", "domain x named public.d", "array 17", "base delimiter"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_type_fact(text), daystream::ProtocolError);
  }
}

TEST_CASE("meaning: a type is what the table's own line says of it", "[mirror][meaning][types]") {
  TypeNames types;
  types.add("public.d", "text");
  CHECK(types.resolve("public.d")->kind == Kind::Text);
  const ValueFacts facts = {{"_type_17000", "domain 16 named public.d"},
                            {"_type_16", "base named boolean"},
                            {"_type_17001", "array 17002 delimiter ; named public.corner[]"},
                            {"_type_17002", "domain 603 delimiter ; named public.corner"},
                            {"_type_603", "base delimiter ; named box"}};
  CHECK(types.take(facts));
  CHECK_FALSE(types.take(facts));
  CHECK(types.resolve("public.d")->kind == Kind::Bool);
  CHECK(types.resolve("public.d[]")->delimiter == ',');
  CHECK(types.resolve("public.corner[]") ==
        ColumnType{.kind = Kind::Text, .array = true, .delimiter = ';'});
  CHECK(types.underlying("public.corner[]") == "public.corner[]");
}
