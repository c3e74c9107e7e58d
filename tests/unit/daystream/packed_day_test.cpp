// Compressed and deleted days: the same stream to every reader, from any position, also while they
// change under it.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <random>

#include "daystream/error.h"
#include "daystream/housekeeping.h"
#include "packed_day.h"
#include "packing.h"
#include "sealed_line.h"
#include "stream_fixture.h"
#include "support/catch2_positions.h"

using namespace daystream;
using namespace daystream::test;

namespace {

bool never() {
  return false;
}

// Text that does not compress to nothing.
std::string noise(std::size_t size, unsigned seed) {
  static const std::string all = [] {
    std::mt19937 random(1);
    std::string text(3'100'000, ' ');
    for (char& c : text) c = static_cast<char>('a' + random() % 26);
    return text;
  }();
  return all.substr(seed * 1009, size);
}

// Three days: one of several frames with a transaction and a line that are larger than one, a small
// one, and the current one.
struct Days : WrittenStream {
  Days() {
    Writer writer = this->writer();
    writer.mark(Lsn{0x800}, {1, 1, {}});
    for (int number = 1; number <= 40; ++number) {
      if (number % 4 == 0) ++now;
      std::string lines;
      const int rows = number == 20 ? 60 : 2;
      for (int n = 0; n < rows; ++n) {
        const std::size_t size = number == 30 && n == 0 ? 3'000'000 : 40'000;
        lines += row(number, n) + "\tc\t" + noise(size, static_cast<unsigned>(number + n)) + "\n";
      }
      add(writer, lines + commit(number));
    }
    now += 86400;
    for (int number = 41; number <= 44; ++number) add(writer, transaction(number));
    now += 86400;
    for (int number = 45; number <= 46; ++number) add(writer, transaction(number));
    writer.flush();
    end = writer.position();
  }

  void add(Writer& writer, const std::string& lines) {
    writer.append(lines);
    all.push_back(lines);
    places.push_back({writer.position(), writer.last_lsn()});
  }

  std::optional<Housekeeping::Step> tidy(const HousekeepingRules& rules,
                                         std::optional<Lsn> confirmed = std::nullopt) {
    return Housekeeping(directory.path(), rules).step(confirmed, never);
  }
  int tidy_all(const HousekeepingRules& rules) {
    int count = 0;
    while (tidy(rules)) ++count;
    return count;
  }

  bool has(const std::string& name) { return std::filesystem::exists(directory / name); }

  std::vector<std::string> all;  // transactions, in order
  std::vector<std::pair<Position, Lsn>> places;
  Position end;
};

HousekeepingRules compress() {
  HousekeepingRules rules;
  rules.compress = 3;
  return rules;
}

std::vector<std::string> tail_of(const std::vector<std::string>& all, std::size_t from) {
  return {all.begin() + static_cast<std::ptrdiff_t>(from), all.end()};
}

}  // namespace

TEST_CASE("packed: a compressed day reads as the plain one, from any commit", "[packed][reader]") {
  Days days;
  const std::string plain = slurp(days.day_path());
  const auto seam = Stream(days.directory.path()).find_seam(21);
  REQUIRE(seam);
  CHECK(days.tidy_all(compress()) == 2);
  CHECK_FALSE(days.has("2017-10-09.tsv"));
  CHECK(days.has("2017-10-09.tsv.zst"));
  CHECK(days.has("2017-10-10.tsv.zst"));
  CHECK(days.has("2017-10-11.tsv"));
  CHECK_FALSE(days.has("2017-10-11.tsv.zst"));
  CHECK(std::filesystem::file_size(days.directory / "2017-10-09.tsv.zst") < plain.size());

  Reader reader = days.reader();
  CHECK(transactions_of(reader) == days.all);
  CHECK(reader.position() == days.end);
  for (std::size_t i = 1; i < days.places.size(); i += 3) {
    CAPTURE(i);
    const auto [position, lsn] = days.places[i];
    Reader by_position = days.reader({position, std::nullopt});
    CHECK(transactions_of(by_position) == tail_of(days.all, i + 1));
    Reader by_checkpoint = days.reader({position, lsn});
    CHECK(by_checkpoint.position() == position);
    // The position is another stream's: the LSN says where.
    Reader by_lsn = days.reader({{position.c, position.s + 1'000'000}, lsn});
    CHECK(transactions_of(by_lsn) == tail_of(days.all, i + 1));
  }
  const auto same_seam = Stream(days.directory.path()).find_seam(21);
  REQUIRE(same_seam);
  CHECK(same_seam->position == seam->position);
}

TEST_CASE("packed: frames are whole lines, and the index says what begins each",
          "[packed][format]") {
  Days days;
  const std::string plain = slurp(days.day_path());
  REQUIRE(days.tidy(compress()));
  const std::string packed = slurp(days.directory / "2017-10-09.tsv.zst");
  const auto dir = real_dir(days.directory.path());
  const auto file = dir->open("2017-10-09.tsv.zst");
  const auto summary = read_summary(*file);
  REQUIRE(summary);
  CHECK(summary->size_bytes == plain.size());
  CHECK(summary->position == days.places[39].first);
  CHECK(summary->lsn == lsn_of(40));
  REQUIRE(summary->frames >= 5);
  const std::size_t index_at = packed.size() - (summary->frames + 1) * kSealedLineSize;
  std::size_t longest = 0;
  for (std::size_t i = 0; i < summary->frames; ++i) {
    CAPTURE(i);
    const auto entry =
        FrameEntry::parse(packed.substr(index_at + i * kSealedLineSize, kSealedLineSize));
    REQUIRE(entry);
    const std::string prefix =
        fmt::format("_c\t{}\t_s\t{}\t", entry->position.c, entry->position.s);
    CHECK(plain.compare(entry->text_at, prefix.size(), prefix) == 0);
    CHECK((entry->text_at == 0 || plain[entry->text_at - 1] == '\n'));
    CHECK(packed.compare(entry->packed_at, 4, "\x28\xB5\x2F\xFD") == 0);
    // The LSN of the last commit or mark up to its first line.
    std::uint64_t expected = 0x800;
    for (const auto& [position, lsn] : days.places) {
      if (position <= entry->position) expected = lsn.value;
    }
    CHECK(entry->lsn.value == expected);
    longest = std::max(longest, static_cast<std::size_t>(entry->text_at));
  }
  CHECK(longest > 3'000'000);
}

TEST_CASE("packed: readers at every place go on while days are compressed", "[packed][reader]") {
  Days days;
  // Paused after each transaction, so inside the days that change.
  std::vector<Reader> readers;
  for (std::size_t i = 0; i < days.all.size(); ++i) {
    readers.push_back(days.reader());
    for (std::size_t n = 0; n <= i;) {
      const Transaction* next = readers.back().next();
      REQUIRE(next);
      if (next->kind() == Transaction::Kind::Transaction) ++n;
    }
  }
  CHECK(days.tidy_all(compress()) == 2);
  for (std::size_t i = 0; i < readers.size(); ++i) {
    CAPTURE(i);
    CHECK(transactions_of(readers[i]) == tail_of(days.all, i + 1));
  }
}

TEST_CASE("packed: a flipped byte is seen", "[packed][damage]") {
  Days days;
  REQUIRE(days.tidy_all(compress()) == 2);
  // The small day, one bit of every other byte; the large one here and there.
  const std::filesystem::path small = days.directory / "2017-10-10.tsv.zst";
  const std::string whole = slurp(small);
  for (std::size_t at = 0; at < whole.size(); at += 2) {
    CAPTURE(at);
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << at / 2 % 8));
    spill(small, bytes);
    try {
      Reader reader = days.reader({days.places[39].first, std::nullopt});
      transactions_of(reader);
      // Bits that mean nothing to zstd: what is read is what was written.
      Reader again = days.reader({days.places[39].first, std::nullopt});
      REQUIRE(transactions_of(again) == tail_of(days.all, 40));
    } catch (const Corruption& e) {
      REQUIRE(e.file() == small.string());
    }
  }
  spill(small, whole);
  const std::filesystem::path large = days.directory / "2017-10-09.tsv.zst";
  const std::string bytes = slurp(large);
  for (std::size_t at = 1000; at < bytes.size(); at += bytes.size() / 20) {
    CAPTURE(at);
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    spill(large, damaged);
    Reader reader = days.reader();
    CHECK_THROWS_AS(transactions_of(reader), Corruption);
  }
}

TEST_CASE("packed: a file cut short, or of another program, says what it is", "[packed][damage]") {
  Days days;
  REQUIRE(days.tidy_all(compress()) == 2);
  const std::filesystem::path path = days.directory / "2017-10-09.tsv.zst";
  const std::string whole = slurp(path);
  for (const std::size_t size : {std::size_t{0}, std::size_t{100}, whole.size() - 1}) {
    CAPTURE(size);
    spill(path, whole.substr(0, size));
    try {
      days.reader();
      FAIL("no error");
    } catch (const Corruption& e) {
      CHECK(e.what() == fmt::format("file \"{}\" is damaged at byte {}: the file does not end in "
                                    "the index of a day",
                                    path.string(), size));
      CHECK(e.hint() == "if another program compressed it: zstd -d --rm");
    }
  }
}

TEST_CASE("packed: zstd gives back the plain day, and that counts again", "[packed][format]") {
  Days days;
  const std::string plain = slurp(days.day_path());
  REQUIRE(days.tidy_all(compress()) == 2);
  const std::string packed = (days.directory / "2017-10-09.tsv.zst").string();
  REQUIRE(std::system(("zstd -q -d --rm " + packed).c_str()) == 0);
  CHECK(slurp(days.day_path()) == plain);
  Reader reader = days.reader();
  CHECK(transactions_of(reader) == days.all);
  // What another program compressed is passed over while the plain file is there.
  REQUIRE(std::system(("zstd -q -k " + days.day_path()).c_str()) == 0);
  Reader again = days.reader();
  CHECK(transactions_of(again) == days.all);
  // And is replaced by one of ours.
  REQUIRE(days.tidy(compress()));
  CHECK_FALSE(days.has("2017-10-09.tsv"));
  Reader last = days.reader();
  CHECK(transactions_of(last) == days.all);
}

TEST_CASE("packing: told to stop, it leaves all as it was", "[packed]") {
  Days days;
  const auto dir = real_dir(days.directory.path());
  const std::int64_t day = kNoon / 86400;
  int asked = 0;
  pack_day(*dir, day, 1, [&asked] { return ++asked < 0; });
  REQUIRE(asked >= 8);
  const int all = asked;
  for (int n = 1; n <= all; ++n) {
    Days again;
    const auto other = real_dir(again.directory.path());
    int left = n;
    CHECK_FALSE(pack_day(*other, day, 1, [&left] { return --left == 0; }));
    CHECK(again.has("2017-10-09.tsv"));
    CHECK_FALSE(again.has("2017-10-09.tsv.zst"));
    CHECK_FALSE(again.has("2017-10-09.tsv.zst.new"));
    n += all / 5;
  }
}

TEST_CASE("packing: a damaged day stays as it is, and the next one is not kept waiting",
          "[packed][damage]") {
  Days days;
  std::string bytes = slurp(days.day_path());
  bytes[bytes.size() / 2] ^= 1;
  spill(days.day_path(), bytes);
  Housekeeping housekeeping(days.directory.path(), compress());
  CHECK_THROWS_AS(housekeeping.step(std::nullopt, never), Corruption);
  const auto next = housekeeping.step(std::nullopt, never);
  REQUIRE(next);
  CHECK(next->file == "2017-10-10.tsv");
  CHECK_FALSE(housekeeping.step(std::nullopt, never));
  CHECK(slurp(days.day_path()) == bytes);
  CHECK_FALSE(days.has("2017-10-09.tsv.zst"));
  CHECK_FALSE(days.has("2017-10-09.tsv.zst.new"));
}

TEST_CASE("housekeeping: only what is over and confirmed is touched", "[packed][housekeeping]") {
  Days days;
  HousekeepingRules rules = compress();
  CHECK_FALSE(days.tidy(rules, lsn_of(39)));  // the first day ends with 40
  rules.keep_bytes = 1;
  CHECK_FALSE(days.tidy(rules, lsn_of(39)));
  CHECK(days.tidy(rules, lsn_of(40))->kind == Housekeeping::Step::Kind::Deleted);
  CHECK_FALSE(days.tidy(rules, lsn_of(43)));
  CHECK(days.tidy(rules, lsn_of(44))->file == "2017-10-10.tsv");
  CHECK_FALSE(days.tidy(rules, lsn_of(46)));  // the current day, whatever it takes
  CHECK(days.has("2017-10-11.tsv"));
  // Without `durable` nobody knows what is over.
  Days copy;
  std::filesystem::remove(copy.directory / "durable");
  CHECK_FALSE(copy.tidy(rules));
}

TEST_CASE("housekeeping: days are deleted from the front, by date or by size",
          "[packed][housekeeping]") {
  Days days;
  HousekeepingRules rules;
  rules.keep_days = 2;
  CHECK_FALSE(days.tidy(rules));
  rules.keep_days = 1;
  const auto step = days.tidy(rules);
  REQUIRE(step);
  CHECK(step->file == "2017-10-09.tsv");
  CHECK_FALSE(days.tidy(rules));
  Reader reader = days.reader();
  CHECK(transactions_of(reader) == tail_of(days.all, 40));
  CHECK_THROWS_AS(days.reader({days.places[3].first, std::nullopt}), PositionGone);
  CHECK_THROWS_AS(days.reader({days.places[3].first, days.places[3].second}), PositionGone);

  Days sized;
  const auto size_of = [&](const char* name) {
    return std::filesystem::file_size(sized.directory / name);
  };
  rules = {};
  rules.keep_bytes =
      size_of("2017-10-09.tsv") + size_of("2017-10-10.tsv") + size_of("2017-10-11.tsv");
  CHECK_FALSE(sized.tidy(rules));
  --*rules.keep_bytes;
  CHECK(sized.tidy(rules));
  CHECK_FALSE(sized.tidy(rules));
  CHECK(sized.has("2017-10-10.tsv"));
}

TEST_CASE("housekeeping: a reader inside a deleted day finishes it, then goes on or is told",
          "[packed][housekeeping]") {
  for (const bool packed : {false, true}) {
    CAPTURE(packed);
    Days days;
    if (packed) REQUIRE(days.tidy_all(compress()) == 2);
    Reader inside = days.reader();
    REQUIRE(inside.next());
    REQUIRE(inside.next());
    HousekeepingRules rules;
    rules.keep_days = 1;
    REQUIRE(days.tidy(rules));
    Reader far_behind = days.reader();
    CHECK(transactions_of(inside) == tail_of(days.all, 1));

    Days gone;
    if (packed) REQUIRE(gone.tidy_all(compress()) == 2);
    Reader late = gone.reader();
    REQUIRE(late.next());
    rules.keep_bytes = 1;
    REQUIRE(gone.tidy_all(rules) == 2);
    std::size_t seen = 0;
    try {
      while (const Transaction* next = late.next()) {
        if (next->kind() == Transaction::Kind::Transaction) ++seen;
      }
      FAIL("no error");
    } catch (const PositionGone&) {
      CHECK(seen == 40);
    }
  }
}

TEST_CASE("recovery: beside compressed days, with and without durable", "[packed][recovery]") {
  for (const bool durable : {true, false}) {
    CAPTURE(durable);
    Days days;
    REQUIRE(days.tidy_all(compress()) == 2);
    if (!durable) std::filesystem::remove(days.directory / "durable");
    {
      Writer writer = days.writer(lsn_of(45));
      CHECK(writer.last_lsn() == lsn_of(46));
      days.add(writer, transaction(47));
      writer.flush();
    }
    Reader reader = days.reader();
    CHECK(transactions_of(reader) == days.all);
  }
}

TEST_CASE("recovery: a durable that a power loss took back into a compressed day is right",
          "[packed][recovery]") {
  WrittenStream stream;
  {
    Writer writer = stream.writer();
    writer.append(transaction(1));
    writer.flush();
    const std::string early = slurp(stream.directory / "durable");
    writer.append(transaction(2));
    stream.now += 86400;
    writer.append(transaction(3));
    writer.flush();
    REQUIRE(Housekeeping(stream.directory.path(), compress()).step(std::nullopt, never));
    spill(stream.directory / "durable", early);
  }
  CHECK(stream.writer().last_lsn() == lsn_of(3));
  Reader reader = stream.reader();
  CHECK(transactions_of(reader).size() == 3);
}

TEST_CASE("recovery: nothing is written after a compressed last day", "[packed][recovery]") {
  Days days;
  REQUIRE(days.tidy_all(compress()) == 2);
  std::filesystem::remove(days.directory / "2017-10-11.tsv");
  std::filesystem::remove(days.directory / "durable");
  try {
    days.writer();
    FAIL("no error");
  } catch (const NeedsPerson& e) {
    CHECK(e.what() == fmt::format("the last day of daystream \"{}\" is compressed, so that nothing "
                                  "can be written after it",
                                  days.directory.path().string()));
    CHECK(e.hint() == fmt::format("decompress it: zstd -d --rm \"{}\"",
                                  (days.directory / "2017-10-10.tsv.zst").string()));
  }
  // To read, it is a copy like any other.
  Reader reader = days.reader();
  CHECK(transactions_of(reader).size() == 44);
}
