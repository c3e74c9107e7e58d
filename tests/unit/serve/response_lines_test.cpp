// What a client keeps of the responses of a server.
#include "remote/response_lines.h"

#include <catch2/catch.hpp>

#include "dir.h"
#include "line_prefix.h"
#include "number.h"
#include "stream_fixture.h"
#include "support/catch2_positions.h"

using namespace daystream;
using namespace daystream::test;
using remote::ResponseLines;

namespace {

// Two days, with a row that is passed on in parts.
struct Sent : WrittenStream {
  Sent() {
    Writer out = writer();
    out.mark(Lsn{0x1000}, {1, 1, {}});
    out.append(transaction(1, 2));
    out.append(row(2) + "\n" + row(2) + std::string(3 << 20, 'x') + "\n" + commit(2));
    out.append(transaction(3));
    now += 86400;
    out.append(transaction(4));
    out.flush();
    for (const char* day : {"2017-10-09", "2017-10-10"}) days.push_back(slurp(day_path(day)));
  }
  std::string all() const { return days[0] + days[1]; }

  std::vector<std::string> days;
};

// Where the line after the one at `position` begins.
std::size_t behind(const std::string& bytes, Position position) {
  std::size_t at = 0;
  while (at < bytes.size() &&
         parse_prefix(std::string_view(bytes).substr(at, 64))->position <= position) {
    at = bytes.find('\n', at) + 1;
  }
  return at;
}

void take(ResponseLines& lines, std::string_view bytes, std::size_t piece) {
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
    lines.take(bytes.substr(0, piece), true);
  }
}

std::optional<std::uint32_t> last_crc(const std::string& bytes) {
  return parse_crc(bytes.substr(bytes.rfind("_crc\t") + 5, 8));
}

std::string text_of(const ResponseLines& lines, std::int64_t day) {
  const auto file = lines.spool().open(day, "spooled");
  std::string text(file->size(), '\0');
  text.resize(file->read_at(text, 0));
  return text;
}

}  // namespace

TEST_CASE("response lines: a response that breaks off anywhere is gone on with", "[remote]") {
  const Sent sent;
  const std::string bytes = sent.all();
  const std::size_t long_row = bytes.find("xxx");
  for (const std::size_t cut : {std::size_t{10}, long_row - 5, long_row + 100, long_row + 1500000,
                                long_row + 3000000, sent.days[0].size(), bytes.size() - 5}) {
    for (const std::size_t piece : {std::size_t{65536}, bytes.size()}) {
      CAPTURE(cut, piece);
      ResponseLines lines;
      lines.begin_response();
      take(lines, std::string_view(bytes).substr(0, cut), 65536);
      CHECK_FALSE(lines.at_tail());
      lines.begin_response();
      take(lines, sent.days[0].substr(behind(sent.days[0], lines.last())), piece);
      if (cut <= sent.days[0].size()) CHECK(lines.chain() == last_crc(sent.days[0]));
      take(lines, sent.days[1].substr(behind(sent.days[1], lines.last())) + "\n", piece);
      CHECK(lines.at_tail());
      CHECK(lines.last() == Position{kNoon + 86400, 2});
      CHECK(lines.chain() == last_crc(bytes));
      CHECK(lines.spool().days().size() == 2);
      CHECK((text_of(lines, kNoon / 86400) == sent.days[0]));
      CHECK((text_of(lines, kNoon / 86400 + 1) == sent.days[1]));
      // It was so once, also while another response has not come to its end yet.
      lines.begin_response();
      CHECK_FALSE(lines.at_tail());
      CHECK(lines.caught_up());
    }
  }
}
