// What is left of a daystream's bytes when only some tables are sent.
#include "serve/line_filter.h"

#include <catch2/catch.hpp>

#include "crc32c.h"
#include "day_file.h"
#include "daystream/error.h"
#include "dir.h"
#include "line_prefix.h"
#include "remote/line_runs.h"
#include "remote/running_chain.h"
#include "scanner.h"
#include "stream_fixture.h"
#include "support/catch2_positions.h"

using namespace daystream;
using namespace daystream::serve;
using namespace daystream::test;

namespace {

std::string row_of(const std::string& table, int xid, int n) {
  return fmt::format("_table\t{}\t_xid\t{}\t_action\tinsert\tid\t{}", table, xid, n);
}

std::string lines_of(const std::vector<std::string>& rows, int number) {
  std::string text;
  for (const std::string& row : rows) text += row + "\n";
  return text + commit(number);
}

// Transactions of cats, dogs and both, an empty one, a rename, a drop, a message, an abort.
struct Zoo : WrittenStream {
  Zoo() {
    Writer out = writer();
    out.mark(Lsn{0x1000}, {1, 1, {{"tables", "cats,dogs,mice"}}});
    for (int i = 1; i <= 12; ++i) {
      now += 1;
      std::vector<std::string> rows;
      if (i % 2 == 0) rows.push_back(row_of("cats", i, i));
      if (i % 3 == 0) rows.push_back(row_of("dogs", i, i));
      if (i % 4 == 0) rows.push_back(row_of("cats", i, -i));
      if (i == 5) rows.push_back("_xid\t5\t_action\tmessage\tprefix\tp\tcontent\tsecret of dogs");
      if (i == 7) {
        rows.push_back(
            "_table\tdogs\t_xid\t7\t_oid\t77\t_identity\td\t_pkey\t1\t_action\tschema\tid\t1 "
            "integer");
        rows.push_back(
            "_table\tcats\t_xid\t7\t_oid\t70\t_identity\td\t_pkey\t1\t_action\tschema\tid\t1 "
            "integer");
        // Partitions of the cats.
        rows.push_back("_table\tkittens\t_xid\t7\t_root\t70\t_action\ttruncate");
        rows.push_back("_table\ttoms\t_xid\t7\t_oid\t71\t_root\t70\t_action\tdrop");
      }
      out.append(lines_of(rows, i));
    }
    now += 1;
    out.append(row_of("cats", 13, 1) + "\n" + row_of("dogs", 13, 1));
    out.abort();
    out.append(lines_of({row_of("dogs", 13, 1)}, 13));
    out.append(lines_of({row_of("cats", 14, 1)}, 14));
    out.mark(Lsn{0x2000}, {1, 20, {}});
    out.flush();
    bytes = slurp(day_path());
  }
  std::string bytes;
};

std::string filtered(const std::string& bytes, const std::string& tables, std::size_t piece,
                     const std::string& granted = "") {
  LineFilter filter(TableFilter(tables, granted), Position::begin(), std::nullopt, false);
  std::string out;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    filter.feed(std::string_view(bytes).substr(at, piece), out);
  }
  filter.end(out);
  return out;
}

// Every group of `bytes`, checked as a Reader checks what a server has filtered.
std::vector<Position> checked_ends(const std::string& bytes, Lines lines = Lines::Some) {
  support::ScratchDir place;
  spill(place / "2017-10-09.tsv", bytes);
  const auto dir = real_dir(place.path());
  const auto file = dir->open("2017-10-09.tsv");
  GroupScanner scanner(*file, 17448, {}, bytes.size(), lines);
  std::vector<Position> ends;
  Group group;
  while (scanner.next(group)) ends.push_back(group.end_position);
  CHECK_FALSE(scanner.in_transaction());
  return ends;
}

std::vector<std::string> split_lines(const std::string& bytes) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < bytes.size();) {
    const auto end = bytes.find('\n', at) + 1;
    lines.push_back(bytes.substr(at, end - at));
    at = end;
  }
  return lines;
}

}  // namespace

TEST_CASE("line filter: what befalls partitions of a table is told with its rows",
          "[serve][filter]") {
  const Zoo zoo;
  const std::string asked = filtered(zoo.bytes, "cats", zoo.bytes.size());
  CHECK(asked.find("_table\tkittens\t_xid\t7\t_root\t70\t_action\ttruncate\n") !=
        std::string::npos);
  CHECK(asked.find("_table\ttoms\t_xid\t7\t_oid\t71\t_root\t70\t_action\tdrop\n") !=
        std::string::npos);
  checked_ends(asked);
  const std::string granted = filtered(zoo.bytes, "", zoo.bytes.size(), "cats");
  CHECK(granted.find("kittens") == std::string::npos);
  CHECK(granted.find("_xid\t7\t_root\t70\t_action\tdrop\n") != std::string::npos);
  CHECK(granted.find("_xid\t7\t_oid\t71\t_root\t70\t_action\tdrop\n") != std::string::npos);
  checked_ends(granted);
}

TEST_CASE("line filter: rows of the tables stay where they are, in a chain of their own",
          "[serve][filter]") {
  const Zoo zoo;
  const std::string cats = filtered(zoo.bytes, "", zoo.bytes.size(), "cats");
  CHECK(checked_ends(cats).size() > 5);
  CHECK_THROWS_AS(checked_ends(cats, Lines::All), Corruption);
  CHECK(cats.find("dogs") == std::string::npos);
  CHECK(cats.find("secret") == std::string::npos);
  for (const std::string& line : split_lines(zoo.bytes)) {
    if (line.find("_table\tcats\t") == std::string::npos) continue;
    CAPTURE(line);
    CHECK(cats.find(line) != std::string::npos);
  }
  // The shape of a table that may not be seen is told as a table that is gone, by number.
  CHECK(cats.find("_xid\t7\t_oid\t77\t_action\tdrop\n") != std::string::npos);
  // The first mark says so, and holds what is left.
  const std::string first = split_lines(cats).front();
  CHECK(first.find("\t_filtered\tcats\t_action\tmark\ttables\tcats\n") != std::string::npos);
  // What ends the stream is there: a follower knows how far it is.
  CHECK(checked_ends(cats).back() == checked_ends(zoo.bytes, Lines::All).back());
}

TEST_CASE("line filter: shapes and drops of tables that were not asked for are told",
          "[serve][filter]") {
  const Zoo zoo;
  const std::string cats = filtered(zoo.bytes, "cats", zoo.bytes.size());
  CHECK(checked_ends(cats).back() == checked_ends(zoo.bytes, Lines::All).back());
  for (const std::string& line : split_lines(zoo.bytes)) {
    CAPTURE(line);
    const bool is_row = line.find("\t_action\tinsert\t") != std::string::npos;
    const bool is_shape = line.find("\t_action\tschema\t") != std::string::npos;
    if (!is_row && !is_shape) continue;
    const bool is_cat = line.find("_table\tcats\t") != std::string::npos;
    CHECK((cats.find(line) != std::string::npos) == (is_cat || is_shape));
  }
  CHECK(cats.find("_oid\t77\t_action\tdrop") == std::string::npos);
  // To who may see cats only, whatever it asks for, the others do not exist.
  const std::string limited = filtered(zoo.bytes, "cats,dogs", zoo.bytes.size(), "cats");
  CHECK(limited == filtered(zoo.bytes, "", zoo.bytes.size(), "cats"));
}

TEST_CASE("line filter: cut anywhere it leaves the same", "[serve][filter]") {
  const Zoo zoo;
  for (const char* granted : {"", "dogs"}) {
    const std::string whole = filtered(zoo.bytes, "dogs", zoo.bytes.size(), granted);
    for (const std::size_t piece : {1, 2, 3, 7, 64, 100, 1000}) {
      CAPTURE(piece, granted);
      CHECK(filtered(zoo.bytes, "dogs", piece, granted) == whole);
    }
  }
}

TEST_CASE("line filter: a commit of nothing is sent only where nothing follows",
          "[serve][filter]") {
  const Zoo zoo;
  const std::string mice = filtered(zoo.bytes, "mice", 100);
  // Two marks, the shapes of the others with their commit, and no commit of nothing.
  const auto ends = checked_ends(mice);
  CHECK(ends.size() == 3);
  LineFilter filter(TableFilter("mice", ""), Position::begin(), std::nullopt, false);
  std::string out;
  const auto two = split_lines(zoo.bytes);
  filter.feed(two[0] + two[1], out);
  const std::string before = out;
  filter.end(out);
  CHECK(out.size() > before.size());
  CHECK(checked_ends(out).size() == 2);
  filter.end(out);
  CHECK(checked_ends(out).size() == 2);
}

TEST_CASE("line filter: goes on after any line that was sent, with the chain of the asker",
          "[serve][filter]") {
  const Zoo zoo;
  const std::string cats = filtered(zoo.bytes, "cats", 50);
  std::string sent;
  remote::RunningChain chain;
  chain.begin(std::nullopt);
  for (const std::string& line : split_lines(cats)) {
    sent += line;
    chain.add(line);
    const auto prefix = parse_prefix(line);
    REQUIRE(prefix);
    const bool in_group = line.find("\t_crc\t") == std::string::npos;
    // What follows this very position in the stream.
    std::string rest;
    for (const std::string& one : split_lines(zoo.bytes)) {
      if (parse_prefix(one)->position > prefix->position) rest += one;
    }
    LineFilter filter(TableFilter("cats", ""), prefix->position, chain.value(), in_group);
    std::string out;
    filter.feed(rest, out);
    filter.end(out);
    CAPTURE(line);
    CHECK(sent + out == cats);
  }
}

TEST_CASE("line filter: a line of any size takes no memory and stays whole", "[serve][filter]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  writer.mark(Lsn{0x1000}, {1, 1, {}});
  const std::string big(300000, 'x');
  writer.append(lines_of({row_of("cats", 1, 1) + "\tt\t" + big,
                          row_of("dogs", 1, 1) + "\tt\t" + big, row_of("cats", 1, 2)},
                         1));
  writer.flush();
  const std::string bytes = slurp(stream.day_path());
  const std::string cats = filtered(bytes, "cats", 1000);
  CHECK(cats == filtered(bytes, "cats", bytes.size()));
  CHECK(checked_ends(cats).size() == 2);
  CHECK(cats.size() < bytes.size() - big.size());
  CHECK(cats.size() > big.size());
}

TEST_CASE("line filter: what is no line is told", "[serve][filter]") {
  LineFilter filter(TableFilter("cats", ""), Position{1, 2}, 0, false);
  std::string out;
  CHECK_THROWS_WITH(filter.feed("nonsense\n", out),
                    "what follows 1/2 is not a line of a daystream");
}
