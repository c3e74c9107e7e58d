// The Writer's short way for rows, against the plain way of saying what it does.
#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

#include "line_prefix.h"
#include "row_copy.h"
#include "stream_fixture.h"
#include "support/catch2_positions.h"
#include "write_buffer.h"

using namespace daystream;
using namespace daystream::test;

TEST_CASE("line prefix: counts like a number is printed", "[writer]") {
  for (const std::uint64_t first :
       {0ULL, 8ULL, 90ULL, 995ULL, 99'998ULL, 18446744073709551000ULL}) {
    LinePrefix prefix(Position{kNoon, first});
    for (std::uint64_t s = first; s < first + 230; ++s) {
      const std::string expected = fmt::format("_c\t{}\t_s\t{}\t", kNoon, s);
      std::string copied(LinePrefix::kRoom, '?');
      copied.resize(prefix.copy_to(copied.data()));
      REQUIRE(copied == expected);
      if (s % 3 == 0) REQUIRE(prefix.view() == expected);
      prefix.count_up();
    }
  }
}

TEST_CASE("copy_line: ends at the newline, wherever it and the end are", "[writer]") {
  for (std::size_t size = 1; size < 70; ++size) {
    for (std::size_t newline = 0; newline <= size; ++newline) {
      // Of exactly that size, so that a sanitizer sees who reads on.
      const std::vector<char> line = [&] {
        std::vector<char> bytes(size, 'x');
        if (newline < size) bytes[newline] = '\n';
        if (newline + 1 < size) bytes[newline + 1] = '\n';
        return bytes;
      }();
      std::vector<char> out(size + kCopySlack, '?');
      const std::size_t copied = copy_line(out.data(), line.data(), line.data() + size);
      CAPTURE(size, newline);
      REQUIRE(copied == (newline < size ? newline + 1 : 0));
      REQUIRE(
          std::equal(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(copied), line.begin()));
    }
  }
}

TEST_CASE("begins_with: sees a difference in any byte", "[writer]") {
  for (std::size_t size = 8; size < 40; ++size) {
    const std::string head(size, 'h');
    std::string text = head + "xxxxxxxx";
    CHECK(begins_with(text.data(), head));
    for (std::size_t at = 0; at < size; ++at) {
      text[at] = 'H';
      REQUIRE_FALSE(begins_with(text.data(), head));
      text[at] = 'h';
    }
  }
}

TEST_CASE("write buffer: grows behind, goes in front, and keeps what is between", "[writer]") {
  std::mt19937 random(7);
  WriteBuffer buffer;
  std::string expected;
  for (int i = 0; i < 4000; ++i) {
    const std::string text(random() % 9000, static_cast<char>('a' + i % 26));
    switch (random() % 4) {
      case 0:
        buffer.append(text);
        expected += text;
        break;
      case 1: {
        char* room = buffer.room(text.size() + 100);
        std::copy(text.begin(), text.end(), room);
        buffer.grow(text.size());
        expected += text;
        break;
      }
      case 2: {
        const std::size_t size = random() % (expected.size() + 1);
        buffer.drop_front(size);
        expected.erase(0, size);
        if (i % 50 == 0) buffer.shrink(4096);
        break;
      }
      default: {
        const std::size_t size = expected.size() - random() % (expected.size() / 8 + 1);
        buffer.cut(size);
        expected.resize(size);
      }
    }
    REQUIRE(buffer.size() == expected.size());
    REQUIRE((buffer.view() == expected));
  }
}

TEST_CASE("writer: rows by the thousand are the same bytes as rows one by one", "[writer]") {
  std::mt19937 random(11);
  std::vector<std::string> lines;
  for (int number = 1; number <= 12; ++number) {
    for (int n = 0, rows = 1 + static_cast<int>(random() % 3000); n < rows; ++n) {
      const auto table = random() % 5 == 0 ? "hen" : "fox";
      const std::size_t size = random() % 500 == 0 ? 100'000 : random() % 90;
      lines.push_back(fmt::format("_table\t{}\t_xid\t{}\t_action\tinsert\ta\t{}", table, number,
                                  std::string(size, 'v')));
    }
    lines.push_back(commit(number));
  }
  WrittenStream one_by_one;
  Writer slow = one_by_one.writer();
  for (const std::string& line : lines) slow.append(line);
  slow.flush();
  const std::string expected = slurp(one_by_one.day_path());

  const std::size_t buffer_bytes = GENERATE(700, 90'000, 1 << 20);
  WrittenStream together;
  WriterOptions options = together.options();
  options.buffer_bytes = buffer_bytes;
  Writer fast(together.directory.path(), source(), std::nullopt, options);
  for (std::size_t at = 0; at < lines.size();) {
    std::string batch = lines[at++];
    for (std::size_t more = random() % 900; more > 0 && at < lines.size(); --more) {
      batch += "\n" + lines[at++];
    }
    fast.append(batch);
  }
  fast.flush();
  CHECK(fast.position() == slow.position());
  CHECK(fast.appended_lines() == slow.appended_lines());
  CHECK(fast.appended_bytes() == slow.appended_bytes());
  CHECK((slurp(together.day_path()) == expected));
}
