// Damage: every flipped byte, every cut and every moved line is seen, with file and offset; and
// what is merely not there yet is not damage.
#include <catch2/catch.hpp>

#include "crc32c.h"
#include "daystream/durable.h"
#include "daystream/error.h"
#include "stream_fixture.h"
#include "support/catch2_positions.h"

using namespace daystream;
using namespace daystream::test;

namespace {

// Two days: three transactions and a mark, then two.
struct Damaged : WrittenStream {
  Damaged() {
    Writer writer = this->writer();
    writer.mark(Lsn{0x1000}, {1, 1, {}});
    writer.append(transaction(1, 2));
    writer.append(transaction(2));
    now += 2;
    writer.append(transaction(3, 3));
    now += 86400;
    writer.append(transaction(4));
    writer.append(transaction(5, 2));
    writer.flush();
    first_day = slurp(day_path());
    second_day = slurp(day_path("2017-10-10"));
    Reader reader = this->reader();
    whole = transactions_of(reader);
  }

  // Reads until the end or until damage is seen; false: none was.
  bool is_seen(std::vector<std::string>& read) {
    read.clear();
    try {
      Reader reader = this->reader();
      while (Transaction* next = reader.next()) {
        if (next->kind() == Transaction::Kind::Transaction) read.push_back(text_of(*next));
      }
    } catch (const Corruption& e) {
      return true;
    }
    return false;
  }

  std::string first_day;
  std::string second_day;
  std::vector<std::string> whole;
};

// A day whose checksums are right, whatever its lines say.
class SealedDay {
 public:
  SealedDay& row(Position at, const std::string& body = "_table\tfox\t_xid\t7\t_action\tinsert") {
    return add(prefix(at), body + "\n");
  }
  SealedDay& end(Position at, const std::string& body) {
    chain_ = extend_crc(extend_crc(chain_, prefix(at)), body + "\n");
    text_ += fmt::format("{}_crc\t{:08x}\t{}\n", prefix(at), chain_, body);
    return *this;
  }
  SealedDay& mark(Position at) { return end(at, "_lsn\t0/1000\t_next\t1\t_action\tmark"); }
  SealedDay& commit(Position at) { return end(at, test::commit(7)); }
  const std::string& text() const { return text_; }

 private:
  static std::string prefix(Position at) { return fmt::format("_c\t{}\t_s\t{}\t", at.c, at.s); }
  SealedDay& add(const std::string& begin, const std::string& rest) {
    chain_ = extend_crc(chain_, begin + rest);
    text_ += begin + rest;
    return *this;
  }
  std::uint32_t chain_ = 0;
  std::string text_;
};

bool is_prefix(const std::vector<std::string>& part, const std::vector<std::string>& whole) {
  return part.size() <= whole.size() && std::equal(part.begin(), part.end(), whole.begin());
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("reader: every flipped byte is seen", "[reader][damage]") {
  Damaged stream;
  REQUIRE(stream.whole.size() == 5);
  std::vector<std::string> read;
  const auto flip_all = [&](const std::string& path, const std::string& bytes) {
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      for (const char mask : {'\x01', '\x20', '\xFF'}) {
        std::string flipped = bytes;
        flipped[at] = static_cast<char>(flipped[at] ^ mask);
        spill(path, flipped);
        CAPTURE(path, at, static_cast<int>(mask));
        if (!stream.is_seen(read)) FAIL("not seen");
        // Nothing wrong was delivered before.
        if (!is_prefix(read, stream.whole)) FAIL("a wrong transaction");
      }
    }
    spill(path, bytes);
  };
  flip_all(stream.day_path(), stream.first_day);
  flip_all(stream.day_path("2017-10-10"), stream.second_day);
  CHECK_FALSE(stream.is_seen(read));
}

TEST_CASE("reader: a file cut at any length is seen", "[reader][damage]") {
  Damaged stream;
  std::vector<std::string> read;
  for (std::size_t size = 0; size < stream.first_day.size(); ++size) {
    spill(stream.day_path(), stream.first_day.substr(0, size));
    CAPTURE(size);
    if (!stream.is_seen(read)) FAIL("not seen");
    if (!is_prefix(read, stream.whole)) FAIL("a wrong transaction");
  }
  spill(stream.day_path(), stream.first_day);
  for (std::size_t size = 0; size < stream.second_day.size(); ++size) {
    spill(stream.day_path("2017-10-10"), stream.second_day.substr(0, size));
    CAPTURE(size);
    if (!stream.is_seen(read)) FAIL("not seen");
    if (!is_prefix(read, stream.whole)) FAIL("a wrong transaction");
  }
}

TEST_CASE("reader: each rule of the order is kept, with a chain that holds", "[reader][damage]") {
  Damaged stream;
  std::filesystem::remove(stream.directory / "durable");
  std::filesystem::remove(stream.day_path("2017-10-10"));
  std::vector<std::string> read;
  const auto is_damage = [&](const SealedDay& day) {
    spill(stream.day_path(), day.text());
    return stream.is_seen(read);
  };
  const auto begun = [] { return SealedDay().mark({kNoon, 0}); };
  CHECK_FALSE(is_damage(begun().row({kNoon, 1}).commit({kNoon, 2})));
  CHECK(read.size() == 1);
  CHECK(is_damage(begun().row({kNoon, 2}).commit({kNoon, 3})));          // a hole
  CHECK(is_damage(begun().row({kNoon, 1}).commit({kNoon, 3})));          // in a transaction
  CHECK(is_damage(begun().row({kNoon, 0}).commit({kNoon, 1})));          // the same again
  CHECK(is_damage(begun().row({kNoon + 1, 1}).commit({kNoon + 1, 2})));  // a second begins with 0
  CHECK(is_damage(begun().row({kNoon - 1, 0}).commit({kNoon - 1, 1})));  // a second goes back
  CHECK(is_damage(begun().row({kNoon, 1}).commit({kNoon + 1, 0})));      // two seconds in one
  CHECK(is_damage(begun().mark({kNoon + 86400, 0})));                    // of another day
  CHECK(is_damage(begun().row({kNoon, 1}).mark({kNoon, 2})));            // a mark inside
  CHECK(is_damage(SealedDay().row({kNoon, 0}).commit({kNoon, 1})));      // begins without a mark
}

TEST_CASE("reader: a missing, repeated or moved line is seen", "[reader][damage]") {
  Damaged stream;
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < stream.first_day.size();) {
    const auto end = stream.first_day.find('\n', at) + 1;
    lines.push_back(stream.first_day.substr(at, end - at));
    at = end;
  }
  const auto joined = [](const std::vector<std::string>& all) {
    std::string text;
    for (const auto& line : all) text += line;
    return text;
  };
  std::vector<std::string> read;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    auto missing = lines;
    missing.erase(missing.begin() + static_cast<std::ptrdiff_t>(i));
    spill(stream.day_path(), joined(missing));
    CAPTURE(i);
    CHECK(stream.is_seen(read));
    auto repeated = lines;
    repeated.insert(repeated.begin() + static_cast<std::ptrdiff_t>(i), lines[i]);
    spill(stream.day_path(), joined(repeated));
    CHECK(stream.is_seen(read));
    if (i == 0) continue;
    auto moved = lines;
    std::swap(moved[i - 1], moved[i]);
    spill(stream.day_path(), joined(moved));
    CHECK(stream.is_seen(read));
  }
}

TEST_CASE("reader: a copy without durable, cut anywhere, ends at its last whole commit",
          "[reader][recovery]") {
  Damaged stream;
  std::filesystem::remove(stream.directory / "durable");
  for (std::size_t size = 0; size <= stream.second_day.size(); ++size) {
    spill(stream.day_path("2017-10-10"), stream.second_day.substr(0, size));
    CAPTURE(size);
    Reader reader = stream.reader();
    const auto read = transactions_of(reader);
    if (!is_prefix(read, stream.whole)) FAIL("a wrong transaction");
    const std::size_t least = 3;  // the first day's
    CHECK(read.size() >= least);
    if (size == stream.second_day.size()) CHECK(read.size() == 5);
  }
}

TEST_CASE("reader: what a power loss has torn is waited for, and damage is not",
          "[reader][recovery]") {
  Damaged stream;
  const std::string durable = (stream.directory / "durable").string();
  const std::string known = slurp(durable);
  const auto is_torn = [&](std::vector<std::string>& read) {
    read.clear();
    try {
      Reader reader = stream.reader();
      while (Transaction* next = reader.next()) {
        if (next->kind() == Transaction::Kind::Transaction) read.push_back(text_of(*next));
      }
    } catch (const TornEnd& e) {
      CHECK(e.retryable());
      CHECK(e.exit_code() == ExitCode::NeedsPerson);
      CHECK(e.hint().find("daystream repair") != std::string::npos);
      return true;
    } catch (const Corruption&) {
    }
    return false;
  };
  std::vector<std::string> read;
  const std::string torn_path = stream.day_path("2017-10-10");
  std::filesystem::remove(durable);
  for (std::size_t at = 0; at < stream.second_day.size(); ++at) {
    // A page that did not reach the disk.
    std::string torn = stream.second_day;
    const std::size_t size = std::min<std::size_t>(40, torn.size() - at);
    torn.replace(at, size, size, '\0');
    spill(torn_path, torn);
    CAPTURE(at);
    // If the end line that went was the last there is what is before it that counts.
    if (!is_torn(read) && stream.is_seen(read)) FAIL("taken for damage");
    if (!is_prefix(read, stream.whole)) FAIL("a wrong transaction");
    // Nothing, where the last line of all is what cannot be read.
    CHECK((read.empty() || read.size() >= 3));
    // The same bytes where they are known to have been on disk.
    spill(durable, known);
    if (is_torn(read)) FAIL("taken for torn");
    CHECK(stream.is_seen(read));
    std::filesystem::remove(durable);
  }
  spill(torn_path, stream.second_day);
  std::string first_day = stream.first_day;
  first_day[first_day.size() / 2] ^= 1;
  spill(stream.day_path(), first_day);
  CHECK_FALSE(is_torn(read));  // a later day was begun: this one was on disk
  CHECK(stream.is_seen(read));
}

TEST_CASE("reader: one that waits where the end is torn goes on once it is mended",
          "[reader][recovery]") {
  Damaged stream;
  std::filesystem::remove(stream.directory / "durable");
  std::string torn = stream.second_day;
  const std::size_t last = torn.rfind("_c\t", torn.rfind("_action\tinsert"));
  torn.replace(last, 10, 10, '\0');
  spill(stream.day_path("2017-10-10"), torn);
  Reader reader = stream.reader();
  std::vector<std::string> read;
  const auto read_on = [&](Reader& from) {
    while (Transaction* next = from.next()) {
      if (next->kind() == Transaction::Kind::Transaction) read.push_back(text_of(*next));
    }
  };
  CHECK_THROWS_AS(read_on(reader), TornEnd);
  CHECK(read.size() == 4);
  {
    Writer writer = stream.writer();
    CHECK(writer.recovery().cut_bytes > 0);
    writer.append(transaction(5, 2));  // it comes again
    writer.flush();
  }
  // What it has in its buffer was read before.
  CHECK_THROWS_AS(read_on(reader), TornEnd);
  Reader again = stream.reader({reader.position(), std::nullopt});
  read_on(again);
  CHECK((read == stream.whole));
}

TEST_CASE("writer: a tail cut at any length after durable is cut or kept whole", "[recovery]") {
  for (const bool lost_durable : {false, true}) {
    Damaged stream;
    const std::string durable_path = (stream.directory / "durable").string();
    // durable as it was after the first transaction of the second day.
    const std::size_t mark_end = stream.second_day.find('\n') + 1;
    std::size_t end = mark_end;
    while (stream.second_day.substr(end).find("commit\n") != std::string::npos &&
           stream.second_day.substr(mark_end, end - mark_end).find("commit\n") ==
               std::string::npos) {
      end = stream.second_day.find('\n', end) + 1;
    }
    std::string durable = slurp(durable_path);
    {
      WrittenStream other;
      Writer writer = other.writer();
      writer.mark(Lsn{0x1000}, {1, 1, {}});
      writer.append(transaction(1, 2));
      writer.append(transaction(2));
      other.now += 2;
      writer.append(transaction(3, 3));
      other.now += 86400;
      writer.append(transaction(4));
      writer.flush();
      durable = slurp(other.directory / "durable");
      REQUIRE(Durable::parse(durable)->size_bytes == end);
    }
    for (std::size_t size = end; size <= stream.second_day.size(); ++size) {
      CAPTURE(lost_durable, size);
      spill(stream.day_path("2017-10-10"), stream.second_day.substr(0, size));
      if (lost_durable) {
        std::filesystem::remove(durable_path);
      } else {
        spill(durable_path, durable);
      }
      const bool all = size == stream.second_day.size();
      {
        Writer writer = stream.writer();
        CHECK(writer.last_lsn() == lsn_of(all ? 5 : 4));
        CHECK(writer.recovery().cut_bytes == (all ? 0 : size - end));
        writer.append(transaction(5, 2));  // it comes again
        writer.flush();
      }
      Reader reader = stream.reader();
      CHECK((transactions_of(reader) == stream.whole));
    }
  }
}

TEST_CASE("writer: damage before durable is an error, and nothing is changed", "[recovery]") {
  Damaged stream;
  const std::string path = stream.day_path("2017-10-10");
  spill(path, stream.second_day.substr(0, stream.second_day.size() - 5));
  CHECK(message_of([&] { stream.writer(); }) ==
        fmt::format("file \"{}\" is damaged at byte {}: the file ends here, \"durable\" says that "
                    "{} bytes are on disk",
                    path, stream.second_day.size() - 5, stream.second_day.size()));
  CHECK(slurp(path).size() == stream.second_day.size() - 5);

  std::string moved = stream.second_day;
  moved.replace(moved.rfind("_c\t"), 5, "_c\t99");
  spill(path, moved);
  CHECK(message_of([&] { stream.writer(); }).find("\"durable\" says that line ") !=
        std::string::npos);

  std::filesystem::remove(path);
  CHECK(message_of([&] { stream.writer(); }).find("is damaged at byte 0") != std::string::npos);
  CHECK(message_of([&] { stream.reader(); }).find("the file is missing, \"durable\" says that ") !=
        std::string::npos);
}

TEST_CASE("writer: damage below what the slot has let go of is an error without durable too",
          "[recovery]") {
  Damaged stream;
  std::filesystem::remove(stream.directory / "durable");
  std::string damaged = stream.second_day;
  damaged[damaged.size() - 10] ^= 1;
  spill(stream.day_path("2017-10-10"), damaged);
  CHECK_THROWS_AS(stream.writer(lsn_of(5)), Corruption);
  CHECK(slurp(stream.day_path("2017-10-10")) == damaged);
  Writer writer = stream.writer(lsn_of(4));  // not confirmed: it comes again
  CHECK(writer.last_lsn() == lsn_of(4));
  CHECK(writer.recovery().cut_bytes > 0);
}

// Until its first sync a stream has nothing to lose, wherever its slot stood when it was begun.
TEST_CASE("writer: what a power loss took before anything was on disk is begun again",
          "[recovery]") {
  WrittenStream stream;
  const Lsn begun{0x1000};
  {
    Writer writer = stream.writer(begun);
    writer.mark(begun, {1, 1, {}});
    writer.append(transaction(1));
    writer.write_out();
  }
  std::string torn = slurp(stream.day_path());
  torn.replace(0, 40, std::string(40, '\0'));
  spill(stream.day_path(), torn);
  if (GENERATE(true, false)) std::filesystem::remove(stream.directory / "durable");
  {
    INFO("it was confirmed for us: then it was on disk");
    CHECK_THROWS_AS(stream.writer(lsn_of(1)), Corruption);
    CHECK(slurp(stream.day_path()) == torn);
  }
  Writer writer = stream.writer(begun);
  CHECK(writer.empty());
  CHECK(writer.manifest().begun == begun);
  writer.append(transaction(1));
  writer.flush();
  CHECK(writer.last_lsn() == lsn_of(1));
}

TEST_CASE("writer: a damaged day before the last is never cut", "[recovery]") {
  Damaged stream;
  std::filesystem::remove(stream.directory / "durable");
  spill(stream.day_path(), stream.first_day.substr(0, stream.first_day.size() - 7));
  CHECK(message_of([&] {
          stream.writer();
        }).find("does not end in a commit, mark, abort or gap, but a later day follows") !=
        std::string::npos);
  CHECK(slurp(stream.day_path("2017-10-10")) == stream.second_day);
}

TEST_CASE("reader: what is no longer kept is refused, naming both places", "[reader]") {
  Damaged stream;
  std::filesystem::remove(stream.day_path());
  const std::string expected = fmt::format(
      "what follows position 1507550400/3 is no longer in daystream \"{}\", which begins at "
      "1507636802/0 (LSN 0/1030)",
      stream.directory.path().string());
  CHECK(message_of([&] { stream.reader({Position{1507550400, 3}, std::nullopt}); }) == expected);
  CHECK_THROWS_AS(stream.reader({Position{1507550400, 3}, lsn_of(1)}), PositionGone);
  // Whoever had all of the lost day has lost nothing.
  Reader caught_up = stream.reader({Position{1507550402, 3}, lsn_of(3)});
  CHECK(transactions_of(caught_up) == std::vector<std::string>{stream.whole[3], stream.whole[4]});
  Reader from_begin = stream.reader();
  CHECK(transactions_of(from_begin).size() == 2);
}

TEST_CASE("reader: a manifest without an end is damage, and does not take all memory",
          "[reader][damage]") {
  Damaged stream;
  const std::filesystem::path manifest = stream.directory.path() / "daystream.json";
  std::filesystem::resize_file(manifest, std::uintmax_t{100} << 30);  // no byte of it is stored
  CHECK_THROWS_AS(stream.reader(), Corruption);
}

TEST_CASE("reader: a day deleted under it is refused, not skipped", "[reader]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  writer.append(transaction(1));
  writer.flush();
  Reader paused = stream.reader();
  Reader at_end = stream.reader();
  CHECK(transactions_of(paused).size() == 1);
  for (int number = 2; number <= 4; ++number) {
    stream.now += 86400;
    writer.append(transaction(number));
  }
  writer.flush();
  std::filesystem::remove(stream.day_path("2017-10-09"));
  // The next day goes on where the one it holds open ended.
  CHECK(transactions_of(at_end).size() == 4);
  std::filesystem::remove(stream.day_path("2017-10-10"));
  CHECK_THROWS_AS(paused.next(), PositionGone);
}
