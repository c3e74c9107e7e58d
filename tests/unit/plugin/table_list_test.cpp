// Lists of names, as the plugin and all others read them.
#include "grammar/table_list.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cctype>
#include <random>
#include <string>
#include <vector>

using namespace grammar;

namespace {

struct Parsed {
  explicit Parsed(std::string text, ListOf what = ListOf::Tables)
      : list(std::move(text)), storage(list.size(), '\1'), items(pattern_capacity(list)) {
    const ParsedList result = parse_list(list, what, storage.data(), items.data());
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

bool covers(const std::string& wide, const std::string& narrow) {
  return covers_table(Parsed(wide).items.at(0), Parsed(narrow).items.at(0));
}

}  // namespace

TEST_CASE("table list: a bare name is a table of public", "[pattern]") {
  const Parsed list("foxes, hens");
  CHECK(list.table("public", "foxes"));
  CHECK(list.table("public", "hens"));
  CHECK_FALSE(list.table("barn", "hens"));
  CHECK_FALSE(list.table("public", "fox"));
}

TEST_CASE("table list: names that are not quoted fold as in SQL", "[pattern]") {
  CHECK(Parsed("Foxes").table("public", "foxes"));
  CHECK_FALSE(Parsed("Foxes").table("public", "Foxes"));
  CHECK(Parsed("BARN.Fox*").table("barn", "foxes"));
  CHECK(Parsed("\"Foxes\"").table("public", "Foxes"));
  CHECK_FALSE(Parsed("\"Foxes\"").table("public", "foxes"));
  CHECK(Parsed("Größe").table("public", "größe"));
  CHECK(Parsed("GRÖSSE").table("public", "grÖsse"));  // as the server folds in UTF-8
  CHECK(Parsed("\tfoxes\n,\r\n hens ").table("public", "hens"));
  CHECK(Parsed("Hens.SECRET", ListOf::Columns).column("public", "hens", "secret"));
}

TEST_CASE("table list: an asterisk stands for any run of characters", "[pattern]") {
  CHECK(Parsed("fox*").table("public", "fox"));
  CHECK(Parsed("fox*").table("public", "foxes"));
  CHECK_FALSE(Parsed("fox*").table("barn", "foxes"));
  CHECK(Parsed("*.foxes").table("barn", "foxes"));
  CHECK(Parsed("barn.*").table("barn", "hens"));
  CHECK_FALSE(Parsed("barn.*").table("public", "hens"));
  CHECK(Parsed("*a*b*").table("public", "xaxxbx"));
  CHECK_FALSE(Parsed("*a*b*").table("public", "xbxxax"));
  CHECK(Parsed("a*a*b").table("public", "aaaab"));
}

TEST_CASE("table list: an asterisk alone is every table of every schema", "[pattern]") {
  for (const char* list : {"*", "**", " * ", "*.*", "none, *"}) {
    CAPTURE(list);
    CHECK(Parsed(list).table("barn", "hens"));
    CHECK(Parsed(list).table("public", "Hens"));
  }
  CHECK_FALSE(Parsed("public.*").table("barn", "hens"));
  CHECK_FALSE(Parsed("\"*\"").table("barn", "hens"));
  CHECK(Parsed("\"*\"").table("public", "*"));
}

TEST_CASE("table list: quotes make a name literal", "[pattern]") {
  CHECK(Parsed("\"Odd.Name, really\"").table("public", "Odd.Name, really"));
  CHECK(Parsed("\"a\"\"b\".\"c*\"").table("a\"b", "c*"));
  CHECK_FALSE(Parsed("\"c*\"").table("public", "cd"));
}

TEST_CASE("table list: what does not parse says why", "[pattern]") {
  const std::string not_whole = "a name with spaces or quotes within is not quoted as a whole";
  CHECK(Parsed("").problem == "a name is empty");
  CHECK(Parsed("a,,b").problem == "a name is empty");
  CHECK(Parsed("a.").problem == "a name is empty");
  CHECK(Parsed(".a").problem == "a name is empty");
  CHECK(Parsed("\"\"").problem == "a name is empty");
  CHECK(Parsed("a.b.c").problem == "a name has too many parts");
  CHECK(Parsed("\"a").problem == "a quoted name is not closed");
  CHECK(Parsed("a\"b\"").problem == not_whole);
  CHECK(Parsed("\"a\"b").problem == not_whole);
  CHECK(Parsed("a b").problem == not_whole);
  CHECK(Parsed(std::string("a\0", 2)).problem == "a name has a NUL");
}

TEST_CASE("table list: each pattern keeps how it was spelt", "[pattern]") {
  const Parsed list(" Foxes ,barn . \"A,b\",* ");
  REQUIRE(list.items.size() == 3);
  CHECK(list.items[0].text == "Foxes");
  CHECK(list.items[1].text == "barn . \"A,b\"");
  CHECK(list.items[2].text == "*");
}

TEST_CASE("table list: texts are taken as they are", "[pattern]") {
  const Parsed list("My.App one, x*", ListOf::Texts);
  REQUIRE(list.problem.empty());
  CHECK(part_matches(list.items[0].parts[0], "My.App one"));
  CHECK_FALSE(part_matches(list.items[0].parts[0], "my.app one"));
  CHECK(part_matches(list.items[1].parts[0], "xyz"));
}

TEST_CASE("table list: columns go by one, two or three parts", "[pattern]") {
  CHECK(Parsed("secret", ListOf::Columns).column("barn", "hens", "secret"));
  CHECK(Parsed("hens.secret", ListOf::Columns).column("public", "hens", "secret"));
  CHECK_FALSE(Parsed("hens.secret", ListOf::Columns).column("barn", "hens", "secret"));
  CHECK(Parsed("barn.*.sec*", ListOf::Columns).column("barn", "hens", "secret"));
}

TEST_CASE("table list: names are read as lines spell them", "[pattern]") {
  const auto read = [](const std::string& text) -> std::string {
    std::string storage(text.size(), '\1');
    std::string_view schema;
    std::string_view table;
    if (!parse_table_name(text, storage.data(), schema, table)) return "none";
    return std::string(schema) + "|" + std::string(table);
  };
  CHECK(read("foxes") == "public|foxes");
  CHECK(read("barn.\"A.b\"\"c*\"") == "barn|A.b\"c*");
  for (const char* bad : {"", "a.", ".a", "a.b.c", "a b", " a", "a*", "a,b", "\"a", "a\"b\""}) {
    CAPTURE(bad);
    CHECK(read(bad) == "none");
  }
}

TEST_CASE("table list: a pattern covers another or is not sure", "[pattern]") {
  CHECK(covers("*", "barn.*"));
  CHECK(covers("*", "\"*\""));
  CHECK_FALSE(covers("\"*\"", "*"));
  CHECK(covers("barn.*", "barn.fox*"));
  CHECK_FALSE(covers("barn.fox*", "barn.*"));
  CHECK(covers("*.hens", "barn.hens"));
  CHECK_FALSE(covers("public.*", "*"));
  CHECK(covers("Foxes", "foxes"));
}

namespace {

// Another reading of the same grammar, by recursion and from the names' side, to be compared.
bool naive_match(std::string_view pattern, bool fold, std::string_view name) {
  if (pattern.empty()) return name.empty();
  if (pattern.front() == '*' && fold) {
    for (std::size_t i = 0; i <= name.size(); ++i) {
      if (naive_match(pattern.substr(1), fold, name.substr(i))) return true;
    }
    return false;
  }
  const char c = fold ? static_cast<char>(std::tolower(static_cast<unsigned char>(pattern.front())))
                      : pattern.front();
  return !name.empty() && name.front() == c && naive_match(pattern.substr(1), fold, name.substr(1));
}

struct RandomName {
  std::string text;  // without quotes
  bool quoted = false;
  std::string spelt() const {
    if (!quoted) return text;
    std::string out = "\"";
    for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
    return out + "\"";
  }
};

}  // namespace

TEST_CASE("table list: random lists match as a naive reading of them", "[pattern][random]") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const auto pick = [&](std::string_view from) { return from[random() % from.size()]; };
  const auto name = [&](bool wild) {
    RandomName result{{}, random() % 3 == 0};
    for (std::size_t i = 1 + random() % 3; i > 0; --i) {
      result.text += pick(result.quoted ? "aA*.,\" b" : wild ? "aAbB*" : "aAbB");
    }
    return result;
  };
  std::size_t matched = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string list;
    std::vector<std::vector<RandomName>> parts;
    for (std::size_t i = 1 + random() % 3; i > 0; --i) {
      std::vector<RandomName> names;
      for (std::size_t n = 1 + random() % 2; n > 0; --n) names.push_back(name(true));
      if (!list.empty()) list += random() % 2 == 0 ? "," : " , ";
      list += names[0].spelt();
      if (names.size() == 2) list += "." + names[1].spelt();
      parts.push_back(std::move(names));
    }
    std::string schema = random() % 2 == 0 ? "public" : std::string(1, pick("aAb*."));
    std::string table;
    for (std::size_t i = 1 + random() % 3; i > 0; --i) table += pick("aAbB*.,\" ");
    const bool expected =
        std::any_of(parts.begin(), parts.end(), [&](const std::vector<RandomName>& n) {
          const auto fits = [](const RandomName& p, std::string_view to) {
            return naive_match(p.text, !p.quoted, to);
          };
          if (n.size() == 2) return fits(n[0], schema) && fits(n[1], table);
          const bool everything =
              !n[0].quoted && n[0].text.find_first_not_of('*') == std::string::npos;
          return everything || (schema == "public" && fits(n[0], table));
        });
    CAPTURE(list, schema, table);
    const Parsed parsed(list);
    REQUIRE(parsed.problem.empty());
    REQUIRE(parsed.table(schema, table) == expected);
    matched += expected ? 1 : 0;
  }
  CHECK(matched > 1000);
}

TEST_CASE("table list: any bytes parse or are refused", "[pattern][random]") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  static constexpr std::string_view kBytes = "abA.,*\"  \t\xff";
  for (int round = 0; round < 50000; ++round) {
    std::string text(random() % 12, ' ');
    for (char& c : text) c = kBytes[random() % kBytes.size()];
    const Parsed list(text, static_cast<ListOf>(random() % 3));
    REQUIRE(list.problem.empty() == !list.items.empty());
    (void)list.table("a", "ab");
    (void)list.column("a", "ab", "b");
  }
}
