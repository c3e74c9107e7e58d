#include "grammar/actions.h"

#include <catch2/catch.hpp>

using namespace grammar;

TEST_CASE("actions: a list of names, with spaces around them", "[grammar]") {
  CHECK(parse_actions("insert").actions == kInsert);
  CHECK(parse_actions(" update ,delete").actions == (kUpdate | kDelete));
  CHECK(parse_actions("insert,update,delete,truncate").actions == kAllActions);
  CHECK(parse_actions("insert,insert").actions == kInsert);
}

TEST_CASE("actions: a word that is none of them is named", "[grammar]") {
  for (const std::string_view list : {"upsert", "insert, upsert ,delete", "delete,upsert"}) {
    CHECK(parse_actions(list).actions == 0);
    CHECK(parse_actions(list).unknown == "upsert");
  }
  for (const std::string_view list : {"", " ", "insert,", ",insert", "insert,,delete"}) {
    CHECK(parse_actions(list).actions == 0);
    CHECK(parse_actions(list).unknown.empty());
  }
  CHECK(parse_actions("INSERT").actions == 0);
}
