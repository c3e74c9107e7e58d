// The small parts of the server: table lists, encodings.
#include <zstd.h>

#include <catch2/catch.hpp>

#include "daystream/error.h"
#include "daystream/manifest.h"
#include "remote/beats.h"
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
  CHECK(takes("*", "zoo.*", "zoo.cats"));
  CHECK_FALSE(takes("public.*", "zoo.*", "zoo.cats"));
  CHECK(takes("", "Zoo.Cats", "zoo.cats"));
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
  CHECK(narrowed("*", "zoo.*") == "zoo.*");
  CHECK(narrowed("Cats", "cats") == "Cats,cats");
  CHECK(narrowed("\"a,b\",c", "\"a,b\"") == "\"a,b\"");
  CHECK(narrowed_holding("", "").empty());
  CHECK_FALSE(table_list_matches(narrowed_holding("a", "b"), "a"));
  CHECK_THROWS_AS(TableFilter("a,,b", ""), ConfigError);
}

TEST_CASE("beats: are no lines, wherever the bytes are cut", "[remote][beats]") {
  const std::string lines = "_c\t1\t_s\t0\ta\tb\n_c\t1\t_s\t1\ta\t\n_c\t1\t_s\t2\n";
  const std::string sent =
      "\n\t\n_c\t1\t_s\t0\ta\tb\n\t\n\t\n\n_c\t1\t_s\t1\ta\t\n\n\t\n_c\t1\t_s\t2\n";
  for (std::size_t piece = 1; piece <= sent.size(); ++piece) {
    for (const char* last : {"", "\n", "\t\n", "\n\t\n", "\t\n\n", "\n\n"}) {
      CAPTURE(piece, last);
      remote::Beats beats;
      std::string got;
      const std::string all = sent + last;
      for (std::size_t at = 0; at < all.size(); at += piece) {
        beats.strip(std::string_view(all).substr(at, piece), got);
      }
      CHECK(got == lines);
      // An empty line says that this is all; that the server reads on, that it is not.
      CHECK(beats.at_tail() == (all.ends_with("\n\n")));
    }
  }
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
