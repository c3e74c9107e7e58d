// The small parts of the server: table lists, encodings.
#include <zstd.h>

#include <catch2/catch.hpp>

#include "daystream/error.h"
#include "daystream/manifest.h"
#include "serve/table_filter.h"
#include "serve/zstd_frame.h"

using namespace daystream;
using namespace daystream::serve;

TEST_CASE("table filter: only what is asked for and granted", "[serve][filter]") {
  const auto takes = [](const char* asked, const char* granted, const char* table) {
    return TableFilter(asked, granted).takes(table);
  };
  CHECK(takes("", "", "any"));
  CHECK(takes("cats", "", "cats"));
  CHECK_FALSE(takes("cats", "", "dogs"));
  CHECK(takes("", "zoo.*", "zoo.cats"));
  CHECK_FALSE(takes("", "zoo.*", "cats"));
  CHECK_FALSE(takes("*", "zoo.*", "cats"));
  CHECK_FALSE(takes("*", "zoo.*", "zoo.cats"));
  // A star that is quoted is a table's name and opens nothing.
  CHECK_FALSE(takes("*", "\"*\"", "cats"));
  CHECK(takes("", "\"*\"", "\"*\""));
}

TEST_CASE("table filter: what is told is in both lists", "[serve][filter]") {
  CHECK(narrowed("", "a,b") == "a,b");
  CHECK(narrowed("a , b", "") == "a , b");
  CHECK(narrowed("a,b,zoo.cats", "b,zoo.*") == "b,zoo.cats");
  CHECK(narrowed("zoo.*", "a,zoo.c*") == "zoo.c*");
  CHECK(narrowed("a", "b").empty());
  CHECK(narrowed("*", "\"*\"") == "\"*\"");
  CHECK(narrowed("\"a,b\",c", "\"a,b\"") == "\"a,b\"");
  CHECK(narrowed_holding("", "").empty());
  CHECK_FALSE(table_list_matches(narrowed_holding("a", "b"), "a"));
  CHECK_THROWS_AS(TableFilter("a,,b", ""), ConfigError);
}

TEST_CASE("zstd: frames one after the other are one text", "[serve][zstd]") {
  std::string frames;
  std::string text;
  for (int i = 0; i < 50; ++i) {
    const std::string piece =
        i % 7 == 0 ? "\n" : std::string(i * 100, static_cast<char>('a' + i % 26));
    text += piece;
    frames += zstd_frame(piece);
  }
  std::string got(text.size() + 1, '\0');
  got.resize(ZSTD_decompress(got.data(), got.size(), frames.data(), frames.size()));
  CHECK(got == text);
}

TEST_CASE("zstd: only who says so gets it", "[serve][zstd]") {
  CHECK(accepts_zstd("zstd"));
  CHECK(accepts_zstd("gzip, deflate, br, zstd"));
  CHECK(accepts_zstd("gzip;q=0.5, ZSTD;q=0.1"));
  CHECK_FALSE(accepts_zstd(""));
  CHECK_FALSE(accepts_zstd("gzip, *"));
  CHECK_FALSE(accepts_zstd("zstd;q=0"));
  CHECK_FALSE(accepts_zstd("zstd;q=0.0, gzip"));
  CHECK_FALSE(accepts_zstd("zstdx"));
}
