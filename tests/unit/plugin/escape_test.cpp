// Escaping of values and names.
#include "grammar/escape.h"

#include <catch2/catch.hpp>
#include <random>
#include <string>

using namespace grammar;

namespace {

std::string escaped(std::string_view text) {
  std::string out(kEscapeGrowth * text.size() + kEscapeSlack, '#');
  out.resize(escape_into(out.data(), text));
  return out;
}

// Byte by byte, as the format's words say.
std::string escaped_plainly(std::string_view text) {
  static const char hex[] = "0123456789abcdef";
  std::string out;
  while (!text.empty()) {
    const std::size_t valid = utf8_length(text);
    const auto byte = static_cast<unsigned char>(text.front());
    if (valid == 0) {
      out += {'\\', 'x', hex[byte / 16], hex[byte % 16]};
    } else if (text.front() == '\t') {
      out += "\\t";
    } else if (text.front() == '\n') {
      out += "\\n";
    } else if (text.front() == '\r') {
      out += "\\r";
    } else if (text.front() == '\\') {
      out += "\\\\";
    } else {
      out += text.substr(0, valid);
    }
    text.remove_prefix(valid == 0 ? 1 : valid);
  }
  return out;
}

}  // namespace

TEST_CASE("line: tab, newline, carriage return and backslash are escaped", "[line]") {
  CHECK(escaped("a\tb\nc\rd\\e") == "a\\tb\\nc\\rd\\\\e");
  CHECK(escaped("") == "");
  CHECK(escaped("\\N") == "\\\\N");  // no text is NULL
  CHECK(escaped("\x01\x0b\x7f") == "\x01\x0b\x7f");
}

TEST_CASE("line: valid UTF-8 passes, other bytes become hexadecimal", "[line]") {
  CHECK(escaped("h\xc3\xa9n \xe2\x80\xa8 \xf0\x9f\xa6\x8a") ==
        "h\xc3\xa9n \xe2\x80\xa8 \xf0\x9f\xa6\x8a");
  CHECK(escaped("\xe9") == "\\xe9");
  CHECK(escaped("\xc0\x80") == "\\xc0\\x80");                    // overlong
  CHECK(escaped("\xe0\x9f\xbf") == "\\xe0\\x9f\\xbf");           // overlong
  CHECK(escaped("\xed\xa0\x80") == "\\xed\\xa0\\x80");           // a surrogate
  CHECK(escaped("\xf4\x90\x80\x80") == "\\xf4\\x90\\x80\\x80");  // above U+10FFFF
  CHECK(escaped("\xe2\x80") == "\\xe2\\x80");                    // cut short
  CHECK(escaped("\xe2\t") == "\\xe2\\t");                        // a lead byte swallows no tab
}

TEST_CASE("line: a special byte is found wherever it stands", "[line]") {
  for (std::size_t size = 1; size < 70; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      std::string text(size, 'a');
      text[at] = '\n';
      std::string expected = text;
      expected.replace(at, 1, "\\n");
      CAPTURE(size, at);
      REQUIRE(escaped(text) == expected);
      REQUIRE(escaped_size(text) == expected.size());
    }
  }
}

TEST_CASE("line: any bytes are escaped as the format says", "[line][random]") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  // Few different bytes, so that sequences and their fragments meet.
  static constexpr std::string_view kBytes = "aaaabcd\t\n\r\\\xc3\xa9\xe2\x80\xa8\xf0\x9f\xed\xa0";
  for (int round = 0; round < 20000; ++round) {
    std::string text(random() % 80, ' ');
    for (char& c : text) c = round % 2 == 0 ? kBytes[random() % kBytes.size()] : char(random());
    const std::string expected = escaped_plainly(text);
    REQUIRE(escaped(text) == expected);
    REQUIRE(escaped_size(text) == expected.size());
  }
}

TEST_CASE("line: escaping writes within what it asks for", "[line]") {
  const std::string text = "0123456789\t0123456789abcdef0123456789\n";
  const std::size_t size = escaped_size(text);
  std::string out(size + kEscapeSlack + 8, '#');
  CHECK(escape_into(out.data(), text) == size);
  CHECK(out.substr(size + kEscapeSlack) == "########");
}
