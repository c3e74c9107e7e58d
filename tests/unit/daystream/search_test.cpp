// Searching text for a key and for the verbs of tables, sixteen places at a time.
#include "command/search.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

using daystream::command::Needle;

namespace {

std::size_t first_of(const std::string& text, const std::vector<std::string>& wanted) {
  std::size_t first = std::string::npos;
  for (const std::string& each : wanted) first = std::min(first, text.find(each));
  return first;
}

}  // namespace

TEST_CASE("search: finds what a plain search finds, wherever it stands", "[search]") {
  const std::vector<std::string> verbs = {"n\tschema\t", "n\ttruncate", "n\trewrite", "n\tdrop"};
  const std::string bytes =
      GENERATE("x", "\t1", "\tid\t4711", "\tid\t1111", "\ta rather long column\ta value");
  const unsigned seed = GENERATE(1U, 2U, 3U);
  CAPTURE(bytes, seed);
  std::mt19937 random(seed);
  // What it is to find, and what looks nearly like it.
  std::vector<std::string> pieces = {
      bytes, bytes.substr(1), "n\tdelete",   "n\treplace",     "n\tinsert", "n\t",
      "nn",  "\t\t",          "action\torw", "somewhere else", "1",         "\tid\t471"};
  pieces.insert(pieces.end(), verbs.begin(), verbs.end());
  pieces.push_back(bytes.substr(0, bytes.size() - 1));
  const Needle needle(bytes);
  int found = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string text(random() % 70, '.');
    for (unsigned i = random() % 4; i > 0; --i) text += pieces[random() % pieces.size()];
    if (random() % 2 == 0) text += std::string(random() % 40, 'n');
    CAPTURE(text);
    REQUIRE(needle.find_in(text) == text.find(bytes));
    std::vector<std::string> either = verbs;
    either.push_back(bytes);
    REQUIRE(needle.find_with_table_verbs(text) == first_of(text, either));
    found += text.find(bytes) != std::string::npos ? 1 : 0;
  }
  CHECK(found > 100);
}
