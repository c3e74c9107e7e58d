#include "support/stream_checker.h"

#include <catch2/catch.hpp>

#include "support/stream_follower.h"
#include "support/temp_dir.h"

using namespace support;

namespace {

// Builds days line by line, with the chain: written from the design alone, as the checker is.
class Sample {
 public:
  Sample& row(std::int64_t c, std::uint64_t s, const std::string& body) {
    append(c, s, "", body);
    return *this;
  }
  Sample& end(std::int64_t c, std::uint64_t s, const std::string& body) {
    const std::string bare = prefix(c, s) + body + "\n";
    crc_ = crc32c(crc_, pending_ + bare);
    pending_.clear();
    char crc[32];
    std::snprintf(crc, sizeof crc, "_crc\t%08x\t", crc_);
    text_ += prefix(c, s) + crc + body + "\n";
    return *this;
  }
  const std::string& text() const { return text_; }
  std::string take() { return std::exchange(text_, ""); }

 private:
  static std::string prefix(std::int64_t c, std::uint64_t s) {
    return "_c\t" + std::to_string(c) + "\t_s\t" + std::to_string(s) + "\t";
  }
  void append(std::int64_t c, std::uint64_t s, const std::string&, const std::string& body) {
    text_ += prefix(c, s) + body + "\n";
    pending_ += prefix(c, s) + body + "\n";
  }
  std::string text_, pending_;
  std::uint32_t crc_ = 0;
};

const std::int64_t kNoon = 1507550400;  // 2017-10-09 12:00:00 UTC
const char* const kMark = "_lsn\t0/100\t_timeline\t1\t_next\t700\t_action\tmark";

std::string fox(int xid, const std::string& table = "zzz") {
  return "_table\t" + table + "\t_xid\t" + std::to_string(xid) + "\t_action\tinsert\ta\tfox";
}
std::string commit(int xid, const std::string& lsn) {
  return "_xid\t" + std::to_string(xid) + "\t_lsn\t" + lsn +
         "\t_next\t710\t_time\t1507550400.000001\t_action\tcommit";
}

Sample good_day() {
  Sample day;
  day.end(kNoon, 0, kMark)
      .row(kNoon, 1, fox(701))
      .row(kNoon, 2, fox(701))
      .end(kNoon, 3, commit(701, "0/200"))
      .row(kNoon + 1, 0, fox(702))
      .end(kNoon + 1, 1, "_xid\t702\t_action\tabort")
      .row(kNoon + 2, 0, fox(702))
      .end(kNoon + 2, 1, commit(702, "0/300"));
  return day;
}

StreamContent checked(const std::string& day, bool live = false) {
  const TempDir dir;
  write_file(dir / "2017-10-09.tsv", day);
  write_file(dir / "daystream.json", "{}");
  return check_stream(dir.path(), {.live = live});
}

std::string verdict(const std::string& day, bool live = false) {
  const StreamContent content = checked(day, live);
  return content.violation ? content.violation->what : "clean";
}

}  // namespace

TEST_CASE("stream checker: the CRC is CRC-32C", "[fault][tools][checker]") {
  CHECK(crc32c(0, "123456789") == 0xE3069283U);
  CHECK(crc32c(crc32c(0, "1234"), "56789") == 0xE3069283U);
}

TEST_CASE("stream checker: reads transactions, marks and aborts of a clean day",
          "[fault][tools][checker]") {
  const StreamContent content = checked(good_day().text());
  REQUIRE_FALSE(content.violation);
  CHECK(content.line_count == 8);
  CHECK(content.abort_count == 1);
  REQUIRE(content.transactions.size() == 3);
  CHECK(content.transactions[0].kind == StreamTransaction::Kind::Mark);
  CHECK(content.commits().size() == 2);
  CHECK(content.commits()[0]->lines.size() == 2);
  CHECK(content.commits()[1]->next == 710);
  CHECK(content.last_lsn() == 0x300);
  CHECK(stream_fields(fox(7)).back() == std::pair<std::string, std::string>{"a", "fox"});
  CHECK(stream_fields("a\tx\\ty\\\\\\x41\tb\t\\N") == StreamFields{{"a", "x\ty\\A"}, {"b", "\\N"}});
}

TEST_CASE("stream checker: every flipped byte, missing and repeated line is seen",
          "[fault][tools][checker]") {
  const std::string day = good_day().text();
  for (std::size_t i = 0; i < day.size(); ++i) {
    CAPTURE(i);
    std::string flipped = day;
    flipped[i] = static_cast<char>(flipped[i] ^ 1);
    CHECK(checked(flipped).violation);
  }
  std::size_t begin = 0;
  for (std::size_t end; begin < day.size(); begin = end) {
    end = day.find('\n', begin) + 1;
    CAPTURE(begin);
    const bool last = end == day.size();
    CHECK((last || checked(day.substr(0, begin) + day.substr(end)).violation));
    CHECK(checked(day.substr(0, end) + day.substr(begin)).violation);
  }
}

TEST_CASE("stream checker: a cut tail is damage, or not yet there when a writer is at work",
          "[fault][tools][checker]") {
  const std::string day = good_day().text();
  for (std::size_t size = 1; size < day.size(); ++size) {
    CAPTURE(size);
    const std::string cut = day.substr(0, size);
    CHECK(verdict(cut, true) == "clean");
    // Without a writer only the ends of transactions, marks and aborts are places to stop.
    const std::string_view last = std::string_view(cut).substr(cut.rfind('\n', size - 2) + 1);
    const bool whole = cut.ends_with('\n') && last.find("_crc") != std::string_view::npos;
    CHECK(checked(cut).violation.has_value() == !whole);
  }
}

TEST_CASE("stream checker: each rule of the order is kept, with a chain that holds",
          "[fault][tools][checker]") {
  const auto with = [](auto&& add) {
    Sample day;
    day.end(kNoon, 0, kMark);
    add(day);
    return verdict(day.text());
  };
  CHECK(with([](Sample& d) { d.row(kNoon, 1, fox(7)).end(kNoon, 2, commit(7, "0/200")); }) ==
        "clean");
  CHECK(with([](Sample& d) { d.row(kNoon, 2, fox(7)); }) == "_s is not the next one");
  CHECK(with([](Sample& d) { d.row(kNoon - 1, 0, fox(7)); }) == "_c goes back");
  CHECK(with([](Sample& d) { d.row(kNoon + 1, 1, fox(7)); }) ==
        "a second that does not begin with _s 0");
  CHECK(with([](Sample& d) { d.row(kNoon, 1, fox(7)).end(kNoon + 1, 0, commit(7, "0/200")); }) ==
        "a transaction that straddles a second");
  CHECK(with([](Sample& d) { d.row(kNoon + 86400, 0, fox(7)); }) == "a line of another day");
  CHECK(with([](Sample& d) { d.row(kNoon, 1, fox(7)).row(kNoon, 2, fox(8)); }) ==
        "a change of transaction 8 inside transaction 7");
  CHECK(with([](Sample& d) { d.row(kNoon, 1, fox(7)).end(kNoon, 2, commit(8, "0/200")); }) ==
        "a commit of another transaction");
  CHECK(with([](Sample& d) { d.end(kNoon, 1, commit(7, "0/200")); }) == "a commit of nothing");
  CHECK(with([](Sample& d) { d.row(kNoon, 1, fox(7)).end(kNoon, 2, kMark); }) ==
        "a mark inside a transaction");
  CHECK(with([](Sample& d) { d.row(kNoon, 1, fox(7)).end(kNoon, 2, commit(7, "0/100")); }) ==
        "commit 0/100 is not past 0/100");
  CHECK(with([](Sample& d) { d.end(kNoon, 1, "_lsn\t0/FF\t_action\tmark"); }) ==
        "mark 0/FF is behind 0/100");
  CHECK(with([](Sample& d) { d.end(kNoon, 1, "_xid\t7\t_action\tabort"); }) ==
        "an abort of nothing");
  CHECK(with([](Sample& d) { d.row(kNoon, 1, fox(7)); }) == "ends inside a transaction");
  CHECK(with([](Sample& d) {
          d.end(kNoon, 1, "_lsn\t0/100\t_action\tgap").end(kNoon, 2, "_lsn\t0/90\t_action\tmark");
        }) == "clean");
  CHECK(verdict(Sample().row(kNoon, 0, fox(7)).text()) == "a day that does not begin with a mark");
  CHECK(with([](Sample& d) {
          d.row(kNoon, 1, fox(7)).end(kNoon, 2, commit(7, "0/200"));
          d.row(kNoon, 3, fox(7)).end(kNoon, 4, commit(7, "0/200"));
        }) == "commit 0/200 is not past 0/200");
}

TEST_CASE("stream checker: the chain goes on over days; a missing day is seen",
          "[fault][tools][checker]") {
  const TempDir dir;
  Sample stream = good_day();
  write_file(dir / "2017-10-09.tsv", stream.take());
  stream.end(kNoon + 86400, 0, "_lsn\t0/300\t_action\tmark");
  write_file(dir / "2017-10-10.tsv", stream.take());
  stream.end(kNoon + 2 * 86400, 0, "_lsn\t0/300\t_action\tmark");
  write_file(dir / "2017-10-11.tsv", stream.take());
  CHECK_FALSE(check_stream(dir.path()).violation);

  const StreamContent cut =
      check_stream(dir.path(), {.sizes = {{"2017-10-09.tsv", 1 << 20}, {"2017-10-10.tsv", 9}}});
  REQUIRE(cut.violation);
  CHECK(cut.violation->text() == "2017-10-10.tsv at 0: half a line");

  std::filesystem::remove(dir / "2017-10-10.tsv");
  REQUIRE(check_stream(dir.path()).violation);
  CHECK(check_stream(dir.path()).violation->text() == "2017-10-11.tsv at 0: the CRC chain breaks");
}

TEST_CASE("stream follower: what is sure is judged once, what is not as often as it is looked at",
          "[fault][tools][checker]") {
  const TempDir dir;
  const std::string name = "2017-10-09.tsv";
  const std::string day = good_day().text();
  const std::size_t half = day.find("\t702\t");  // inside a transaction
  for (std::size_t size = 1; size <= day.size(); size += 7) {
    CAPTURE(size);
    write_file(dir / name, day.substr(0, size));
    StreamFollower follower(dir.path());
    CHECK_FALSE(follower.advance({{name, size}}));
    CHECK(follower.passed_bytes() <= size);
    write_file(dir / name, day);
    CHECK_FALSE(follower.advance({{name, day.size()}}));
    CHECK(follower.passed_bytes() == day.size());
    CHECK_FALSE(follower.advance({}));  // nothing more
  }

  StreamFollower follower(dir.path());
  CHECK_FALSE(follower.advance({{name, half}}));
  const std::uint64_t passed = follower.passed_bytes();
  CHECK(passed > 0);
  CHECK(passed <= half);
  std::string damaged = day;
  damaged[half + 1] ^= 1;
  write_file(dir / name, damaged);
  const auto violation = follower.advance({{name, half}});
  REQUIRE(violation);
  CHECK(violation->what == "the CRC chain breaks");
  // It may come right again: a power loss takes what was not sure.
  write_file(dir / name, day);
  CHECK_FALSE(follower.advance({{name, half}}));
  CHECK(follower.passed_bytes() == passed);

  // The next day goes on where this one ends.
  Sample stream = good_day();
  stream.take();
  stream.end(kNoon + 86400, 0, "_lsn\t0/300\t_action\tmark");
  write_file(dir / "2017-10-10.tsv", stream.text());
  CHECK_FALSE(follower.advance({{name, day.size()}, {"2017-10-10.tsv", 9}}));
  CHECK(follower.passed_bytes() == day.size());
}
