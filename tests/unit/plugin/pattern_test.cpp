// Name patterns of the filters.
#include "pattern.h"

#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <vector>

using namespace deltaflood;

namespace {

struct Parsed {
  explicit Parsed(std::string text, std::size_t max_parts = 2)
      : list(std::move(text)), storage(list.size() + 1, '\0'), items(pattern_capacity(list)) {
    const ParsedPatterns result = parse_patterns(list, max_parts, storage.data(), items.data());
    items.resize(result.count);
    problem = result.problem == nullptr ? "" : result.problem;
  }
  bool table(std::string_view schema, std::string_view name) const {
    for (const Pattern& item : items) {
      if (matches_table(item, schema, name)) return true;
    }
    return false;
  }
  bool column(std::string_view schema, std::string_view name, std::string_view column) const {
    for (const Pattern& item : items) {
      if (matches_column(item, schema, name, column)) return true;
    }
    return false;
  }

  std::string list;
  std::string storage;
  std::vector<Pattern> items;
  std::string problem;
};

}  // namespace

TEST_CASE("pattern: a bare name is a table of public", "[pattern]") {
  const Parsed list("foxes, hens");
  CHECK(list.table("public", "foxes"));
  CHECK(list.table("public", "hens"));
  CHECK_FALSE(list.table("barn", "hens"));
  CHECK_FALSE(list.table("public", "fox"));
  CHECK_FALSE(list.table("public", "Foxes"));
}

TEST_CASE("pattern: an asterisk stands for any run of characters", "[pattern]") {
  CHECK(Parsed("fox*").table("public", "fox"));
  CHECK(Parsed("fox*").table("public", "foxes"));
  CHECK_FALSE(Parsed("fox*").table("barn", "foxes"));
  CHECK(Parsed("*.foxes").table("barn", "foxes"));
  CHECK(Parsed("barn.*").table("barn", "hens"));
  CHECK_FALSE(Parsed("barn.*").table("public", "hens"));
  CHECK(Parsed("*").table("barn", "hens"));
  CHECK(Parsed("*a*b*").table("public", "xaxxbx"));
  CHECK_FALSE(Parsed("*a*b*").table("public", "xbxxax"));
  CHECK(Parsed("a*a*b").table("public", "aaaab"));
}

TEST_CASE("pattern: quotes make a name literal", "[pattern]") {
  CHECK(Parsed("\"Odd.Name, really\"").table("public", "Odd.Name, really"));
  CHECK(Parsed("\"a\"\"b\".\"c*\"").table("a\"b", "c*"));
  CHECK_FALSE(Parsed("\"c*\"").table("public", "cd"));
}

TEST_CASE("pattern: what does not parse says why", "[pattern]") {
  CHECK(Parsed("").problem == "a name is empty");
  CHECK(Parsed("a,,b").problem == "a name is empty");
  CHECK(Parsed("a.").problem == "a name is empty");
  CHECK(Parsed("\"\"").problem == "a name is empty");
  CHECK(Parsed("a.b.c").problem == "a name has too many parts");
  CHECK(Parsed("\"a").problem == "a quoted name is not closed");
  CHECK(Parsed("a\"b\"").problem == "a quote stands within a name");
  CHECK(Parsed("\"a\"b").problem == "a quote stands within a name");
}

TEST_CASE("pattern: a list of one part takes dots as they are", "[pattern]") {
  const Parsed list("my.app", 1);
  REQUIRE(list.problem.empty());
  CHECK(part_matches(list.items[0].parts[0], "my.app"));
}

TEST_CASE("pattern: columns go by one, two or three parts", "[pattern]") {
  CHECK(Parsed("secret", 3).column("barn", "hens", "secret"));
  CHECK(Parsed("hens.secret", 3).column("public", "hens", "secret"));
  CHECK_FALSE(Parsed("hens.secret", 3).column("barn", "hens", "secret"));
  CHECK(Parsed("barn.*.sec*", 3).column("barn", "hens", "secret"));
}

TEST_CASE("pattern: any bytes parse or are refused", "[pattern][random]") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  static constexpr std::string_view kBytes = "ab.,*\"  \t\xff";
  for (int round = 0; round < 50000; ++round) {
    std::string text(random() % 12, ' ');
    for (char& c : text) c = kBytes[random() % kBytes.size()];
    const Parsed list(text, 1 + random() % 3);
    REQUIRE(list.problem.empty() == !list.items.empty());
    (void)list.table("a", "ab");
    (void)list.column("a", "ab", "b");
  }
}
