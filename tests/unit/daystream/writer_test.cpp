// What the Writer refuses, and how it holds to the clock, the day and the source.
#include "daystream/writer.h"

#include <fmt/format.h>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "daystream/durable.h"
#include "daystream/error.h"
#include "stream_fixture.h"
#include "support/catch2_positions.h"

using namespace daystream;
using namespace daystream::test;

namespace {

template <typename Kind>
std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const Kind& e) {
    return e.what();
  }
  return "no such error";
}

}  // namespace

TEST_CASE("writer: a clock that steps back holds the second", "[writer][clock]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  writer.append(transaction(1));
  const Position first = writer.position();
  CHECK(first == Position{kNoon, 2});  // after the day's mark
  stream.now -= 100'000;
  writer.append(transaction(2));
  CHECK(writer.position() == Position{kNoon, 4});
  stream.now = kNoon + 1;
  writer.append(transaction(3));
  CHECK(writer.position() == Position{kNoon + 1, 1});
}

TEST_CASE("writer: a transaction never straddles midnight", "[writer][clock]") {
  WrittenStream stream;
  stream.now = 1507593599;  // the day's last second
  Writer writer = stream.writer();
  writer.append(row(1, 0));
  stream.now += 1;
  writer.append(row(1, 1) + "\n" + commit(1));
  CHECK(writer.position() == Position{1507593599, 3});
  writer.append(transaction(2));
  CHECK(writer.position() == Position{1507593600, 2});
  writer.flush();
  CHECK(slurp(stream.day_path("2017-10-10")).starts_with("_c\t1507593600\t_s\t0\t_crc\t"));
  Reader reader = stream.reader();
  CHECK(transactions_of(reader) == std::vector<std::string>{transaction(1, 2), transaction(2)});
}

TEST_CASE("writer: a new day's mark has the next transaction id of the last commit or mark",
          "[writer][clock]") {
  WrittenStream stream;
  WriterOptions options = stream.options();
  options.day_mark = [] { return MarkFacts{}; };  // nobody is asked at midnight
  Writer writer(stream.directory.path(), source(), std::nullopt, options);
  const auto first_line = [&](const std::string& day) {
    writer.flush();
    const std::string text = slurp(stream.day_path(day));
    return text.substr(0, text.find('\n'));
  };
  MarkFacts facts;
  facts.next = 77;
  writer.mark(lsn_of(1), facts);
  stream.now += 86400;
  writer.append(transaction(2));
  CHECK_THAT(first_line("2017-10-10"), Catch::Contains("\t_next\t77\t"));
  stream.now += 86400;
  writer.mark(lsn_of(3), {});  // an idle one, which knows less
  CHECK_THAT(first_line("2017-10-11"), Catch::Contains("\t_next\t3\t"));
}

TEST_CASE("writer: lines without commit lines are refused", "[writer]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  writer.append(row(1));
  CHECK(refusal<ProtocolError>([&] { writer.append(row(2)); }) ==
        "a line of transaction 2 came inside transaction 1, which has no commit line yet");
  writer.abort();
  CHECK_FALSE(writer.in_transaction());
  writer.append(row(1));
  CHECK_THROWS_AS(writer.append(commit(2)), ProtocolError);
}

TEST_CASE("writer: text that is no line of a server is refused", "[writer]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  CHECK(refusal<ProtocolError>([&] { writer.append("hello"); }) ==
        "key \"hello\" of a line has no value");
  CHECK_THROWS_AS(writer.append(""), ProtocolError);
  CHECK_THROWS_AS(writer.append("_xid\t0\t_action\tabort"), ProtocolError);
  CHECK(refusal<ProtocolError>([&] { writer.append("_lsn\t0/1\t_action\tmark"); }) ==
        "a line of action \"mark\" cannot come from a server");
  CHECK_FALSE(writer.in_transaction());
  CHECK(writer.empty());
}

TEST_CASE("writer: a directory is of one source", "[writer]") {
  WrittenStream stream;
  { Writer writer = stream.writer(); }
  const auto refused = [&](const Manifest& wanted) {
    return refusal<WrongSource>([&] { Writer(stream.directory.path(), wanted, {}, {}); });
  };
  const std::string begin = "daystream \"" + stream.directory.path().string() + "\" ";
  Manifest other = source();
  other.system_identifier = "1";
  CHECK(refused(other) ==
        begin +
            "is of another cluster (system identifier 7000000000000000001) than what is to be "
            "written (system identifier 1)");
  other = source();
  other.database = "hens";
  CHECK(refused(other) ==
        begin + "is of database \"foxes\", not \"hens\" as what is to be written");
  other = source();
  other.slot = "coop";
  CHECK(refused(other) == begin + "is of slot \"den\", not \"coop\" as what is to be written");
  other = source();
  other.system_identifier.clear();
  CHECK(refused(other) == begin + "was not read from a pipe, unlike what is to be written");
}

TEST_CASE("writer: day files without a manifest are not taken over", "[writer]") {
  WrittenStream stream;
  {
    Writer writer = stream.writer();
    writer.append(transaction(1));
    writer.flush();
  }
  std::filesystem::remove(stream.directory / "daystream.json");
  CHECK_THROWS_AS(stream.writer(), Corruption);
}

TEST_CASE("writer: a directory with files of somebody else is not taken", "[writer]") {
  WrittenStream stream;
  const std::filesystem::path place = stream.directory.path();
  std::ofstream(place / "precious.txt") << "mine";
  CHECK(refusal<NeedsPerson>([&] { stream.writer(); }) ==
        fmt::format("directory \"{}\" is no daystream, and not empty: it holds \"precious.txt\"",
                    place.string()));
  CHECK_FALSE(std::filesystem::exists(place / "lock"));
  std::filesystem::remove(place / "precious.txt");
  // What a refused start may leave, and the root of a file system.
  std::ofstream(place / "status.json") << "{}";
  std::filesystem::create_directory(place / "lost+found");
  { Writer writer = stream.writer(); }
  std::ofstream(place / "notes.txt") << "beside a stream that is there";
  CHECK_NOTHROW(stream.writer());
  CHECK(refusal<NeedsPerson>([&] { Writer(place / "notes.txt", source(), {}, {}); }) ==
        fmt::format("\"{}\" is no directory", (place / "notes.txt").string()));
}

TEST_CASE("writer: a changed filter is declared once, after the line before it", "[writer]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  writer.declare_holding({{}, "fox", {}});
  CHECK(Manifest::load(stream.directory.path()).holdings.size() == 1);
  writer.append(transaction(1));
  writer.declare_holding({{}, "fox", {}});
  CHECK(writer.manifest().holdings.size() == 1);
  writer.declare_holding({{}, "fox,hen", {}});
  const Manifest saved = Manifest::load(stream.directory.path());
  REQUIRE(saved.holdings.size() == 2);
  CHECK(saved.holdings[1].since == Position{kNoon, 2});
}

TEST_CASE("writer: marks and gaps are delivered as what they are", "[writer][reader]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  writer.mark(Lsn{0x2000}, {3, 77, {{"tables", "a,b\tc"}}});
  writer.gap(Lsn{0x2100});
  writer.mark(Lsn{0x1000}, {});  // behind what is known: says what is known
  writer.flush();
  Reader reader = stream.reader();
  Transaction* mark = reader.next();
  REQUIRE(mark != nullptr);
  CHECK(mark->kind() == Transaction::Kind::Mark);
  CHECK(mark->lsn() == Lsn{0x2000});
  CHECK(mark->end().next == 77U);
  CHECK(mark->end().timeline == 3U);
  CHECK(mark->end().columns == "tables\ta,b\\tc");
  Transaction* gap = reader.next();
  REQUIRE(gap != nullptr);
  CHECK(gap->kind() == Transaction::Kind::Gap);
  CHECK(gap->lsn() == Lsn{0x2100});
  CHECK(reader.lsn() == Lsn{0x2000});
  mark = reader.next();
  REQUIRE(mark != nullptr);
  CHECK(mark->lsn() == Lsn{0x2000});
  CHECK(reader.next() == nullptr);
}

TEST_CASE("writer: an xid that wrapped and a message are lines like others", "[writer]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  const std::string message =
      "_xid\t0\t_action\tmessage\tprefix\tp\tcontent\tc\n"
      "_xid\t0\t_lsn\t0/5000\t_next\t9\t_time\t1507550400.000000\t_action\tcommit";
  writer.append(message);
  const std::string large =
      "_table\tfox\t_xid\t4294967295\t_action\ttruncate\n"
      "_oid\t16384\t_xid\t4294967295\t_action\tdrop\n"
      "_xid\t4294967295\t_lsn\t0/"
      "6000\t_next\t4294967299\t_time\t1507550400.000000\t_action\tcommit";
  writer.append(large);
  writer.flush();
  Reader reader = stream.reader();
  CHECK(transactions_of(reader) == std::vector<std::string>{message, large});
}

TEST_CASE("reader: wakes when something became durable, not before", "[reader][follow]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  writer.append(transaction(1));
  writer.flush();
  Reader reader = stream.reader();
  CHECK(transactions_of(reader).size() == 1);
  CHECK(reader.wait(std::chrono::milliseconds(0)));  // what was before the watch is not known
  CHECK_FALSE(reader.wait(std::chrono::milliseconds(0)));
  writer.append(transaction(2));
  writer.write_out();
  CHECK_FALSE(reader.wait(std::chrono::milliseconds(0)));
  writer.flush();
  CHECK(reader.wait(std::chrono::seconds(60)));
  CHECK(transactions_of(reader) == std::vector<std::string>{transaction(2)});
}

TEST_CASE("reader: a checkpoint the stream has not reached yet waits for it", "[reader]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  writer.append(transaction(1));
  writer.flush();
  Reader reader = stream.reader({Position{kNoon + 50, 3}, lsn_of(2)});
  CHECK(reader.next() == nullptr);
  CHECK(reader.lsn() == lsn_of(2));
  writer.append(transaction(2));
  writer.append(transaction(3));
  writer.flush();
  CHECK(transactions_of(reader) == std::vector<std::string>{transaction(3)});
}

TEST_CASE("seam: the last line with a next that is old enough, as a search of all lines finds it",
          "[seam]") {
  WrittenStream stream;
  auto options = stream.options();
  options.day_mark = [] { return MarkFacts{}; };  // a day's first mark has the last commit's next
  Writer writer(stream.directory.path(), source(), std::nullopt, options);
  struct Place {
    std::uint64_t next;
    Position position;
  };
  std::vector<Place> places;
  for (int number = 2; number <= 90; ++number) {
    const bool new_day = (stream.now + 5'000) / 86400 != stream.now / 86400;
    stream.now += 5'000;
    if (new_day) places.push_back({places.back().next, Position{stream.now, 0}});
    if (number % 7 == 0) writer.mark(lsn_of(number), {});
    writer.append(transaction(number * 3, number % 5 == 0 ? 400 : number % 4));
    places.push_back({static_cast<std::uint64_t>(number) * 3 + 1, writer.position()});
  }
  writer.flush();
  for (std::uint64_t xmin = 1; xmin < 300; ++xmin) {
    CAPTURE(xmin);
    const Place* expected = nullptr;
    for (const Place& place : places) {
      if (place.next <= xmin) expected = &place;
    }
    const auto seam = Stream(stream.directory.path()).find_seam(xmin);
    REQUIRE(seam.has_value() == (expected != nullptr));
    if (!seam) continue;
    CHECK(seam->position == expected->position);
    CHECK(seam->next == expected->next);
  }
}
