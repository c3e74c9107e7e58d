// Lines, positions, LSNs and the small files: what is read, and what is refused.
#include "daystream/line.h"

#include <catch2/catch.hpp>
#include <random>

#include "calendar.h"
#include "crc32c.h"
#include "daystream/durable.h"
#include "daystream/error.h"
#include "daystream/manifest.h"
#include "line_prefix.h"
#include "stream_fixture.h"
#include "support/catch2_positions.h"

using namespace daystream;
using namespace daystream::test;

namespace {

std::string escaped(std::string_view text) {
  std::string out;
  escape_to(out, text);
  return out;
}

std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("line: escape and unescape are each other's inverse", "[line]") {
  CHECK(escaped("a\tb\nc\rd\\e") == "a\\tb\\nc\\rd\\\\e");
  CHECK(escaped("\\N") == "\\\\N");
  CHECK(escaped("häß €𝄞") == "häß €𝄞");
  CHECK(escaped("a\xFF\xC3") == "a\\xff\\xc3");
  CHECK(escaped("\xED\xA0\x80") == "\\xed\\xa0\\x80");  // a surrogate is no character
  CHECK(escaped("\xC0\x80") == "\\xc0\\x80");           // nor is a longer form of NUL
  CHECK(unescape("\\x41\\xFf") == "A\xFF");
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string text(random() % 12, '\0');
    for (char& c : text) c = static_cast<char>(random() % 4 ? random() : "\t\n\r\\N"[random() % 5]);
    const std::string raw = escaped(text);
    if (unescape(raw) != text || raw.find_first_of("\t\n\r") != std::string::npos || raw == kNull) {
      CAPTURE(i, raw);
      FAIL("not the inverse");
    }
  }
}

TEST_CASE("line: an escape that is none is refused", "[line]") {
  CHECK(refusal([] { unescape("a\\q"); }) == "invalid escape \"\\q\" in a line");
  CHECK(refusal([] { unescape("\\"); }) == "invalid escape \"\\\" in a line");
  CHECK(refusal([] { unescape("\\N"); }) == "invalid escape \"\\N\" in a line");
  CHECK(refusal([] { unescape("\\x4"); }) == "invalid escape \"\\x4\" in a line");
  CHECK(refusal([] { unescape("\\x4g"); }) == "invalid escape \"\\x4g\" in a line");
}

TEST_CASE("line: a change is taken apart up to its verb", "[line]") {
  const Change row =
      parse_change("_table\tops.crew\t_xid\t4294967295\t_action\tupdate\t_action\tx\t_table\ty");
  CHECK(row.action == Action::Update);
  CHECK(row.table == "ops.crew");
  CHECK(row.xid == 4294967295U);
  CHECK(row.leading_fields == "_table\tops.crew\t_xid\t4294967295");
  CHECK(row.columns == "_action\tx\t_table\ty");
  const Change schema = parse_change(
      "_table\tt\t_xid\t7\t_oid\t16384\t_root\t16380\t_identity\td\t_pkey\t1,2\t_ikey\t3\t_"
      "later\tx\t"
      "_action\tschema\ta\t1 integer");
  CHECK(schema.oid == 16384);
  CHECK(schema.root == 16380);
  CHECK(schema.identity == "d");
  CHECK(schema.primary_key == "1,2");
  CHECK(schema.identity_key == "3");
  const Change end = parse_change(
      "_crc\t5f1c0a9e\t_xid\t0\t_lsn\tA/17B1480\t_next\t18446744073709551615\t_timeline\t3\t_time\t"
      "1507507200.184022\t_action\tcommit");
  CHECK(end.crc == 0x5f1c0a9eU);
  CHECK(end.lsn == Lsn{0xA017B1480});
  CHECK(end.next == 18446744073709551615U);
  CHECK(end.timeline == 3U);
  CHECK(end.time_us == 1507507200184022);
  CHECK(end.columns.empty());
  CHECK(parse_change("_time\t-1.500000\t_action\tcommit").time_us == -1500000);
  CHECK(parse_change("_action\tgap").leading_fields.empty());
}

TEST_CASE("line: what is no deltaflood line is refused, saying why", "[line]") {
  const auto said = [](const std::string& body) { return refusal([&] { parse_change(body); }); };
  constexpr const char* value = "invalid value \"{}\" of key \"{}\" in a line: {}";
  CHECK(said("") == "not a deltaflood line, it has no \"_action\": \"\"");
  CHECK(said("hello") == "key \"hello\" of a line has no value");
  CHECK(said("_table\tt\t") == "a line ends in a tab");
  CHECK(said("_action\tfly") ==
        fmt::format(value, "fly", "_action", "not an action this version knows"));
  CHECK(said("_xid\t-1\t_action\tinsert") ==
        fmt::format(value, "-1", "_xid", "not a number in range"));
  CHECK(said("_xid\t4294967296\t_action\tinsert") ==
        fmt::format(value, "4294967296", "_xid", "not a number in range"));
  CHECK(said("_xid\t007\t_action\tinsert") ==
        fmt::format(value, "007", "_xid", "not a number in range"));
  CHECK(said("_lsn\t1-2\t_action\tmark") == fmt::format(value, "1-2", "_lsn", "not an LSN"));
  CHECK(said("_crc\tABCDEF01\t_action\tmark") ==
        fmt::format(value, "ABCDEF01", "_crc", "not eight hexadecimal digits"));
  CHECK(said("_time\t1.5\t_action\tcommit") ==
        fmt::format(value, "1.5", "_time", "not SECONDS.MICROS"));
}

TEST_CASE("line: an xid is widened by its own commit's next", "[line]") {
  CHECK(widen_xid(5, 6) == 5);
  CHECK(widen_xid(4294967290U, 4294967300U) == 4294967290U);
  CHECK(widen_xid(3, 4294967300U) == 4294967299U);
  CHECK(widen_xid(4294967295U, (std::uint64_t{7} << 32) + 3) == (std::uint64_t{7} << 32) - 1);
}

TEST_CASE("position: text and parse", "[position]") {
  CHECK(Position{1507507200, 17}.text() == "1507507200/17");
  CHECK(Position::parse("1507507200/17") == Position{1507507200, 17});
  CHECK(Position{1507507200, 0}.day() == "2017-10-09");
  CHECK(Position{1507507199, 0}.day() == "2017-10-08");
  for (const char* text :
       {"", "/", "1/", "/1", "1", "-1/0", "1/-1", "01/1", "1/01", "1/1 ", "a/b"}) {
    CAPTURE(text);
    CHECK_FALSE(Position::parse(text));
  }
}

TEST_CASE("lsn: text and parse", "[lsn]") {
  CHECK(Lsn{0x17B1480}.text() == "0/17B1480");
  CHECK(Lsn::parse("16/B374D848") == Lsn{0x16B374D848});
  CHECK(Lsn::parse("16/b374d848") == Lsn{0x16B374D848});
  for (const char* text : {"", "/", "0", "0/", "/0", "123456789/0", "0/123456789", "0/x", "0/-1"}) {
    CAPTURE(text);
    CHECK_FALSE(Lsn::parse(text));
  }
}

TEST_CASE("prefix: counting up is writing again", "[line]") {
  for (const std::uint64_t begin : {0ULL, 8ULL, 95ULL, 999'995ULL, 18446744073709551600ULL}) {
    LinePrefix counted({1507507200, begin});
    for (std::uint64_t s = begin; s < begin + 12; ++s) {
      CHECK(counted.view() == LinePrefix({1507507200, s}).view());
      CHECK(parse_prefix(std::string(counted.view()) + "x")->position == Position{1507507200, s});
      counted.count_up();
    }
  }
  for (const char* text :
       {"", "_c\t1", "_c\t1\t_s\t1", "_c\t01\t_s\t1\tx", "_c\t1\t_t\t1\tx", "_c\t-1\t_s\t1\tx"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_prefix(text));
  }
}

TEST_CASE("crc: Castagnoli, in pieces as in one", "[crc]") {
  CHECK(crc_text(extend_crc(0, "123456789")) == "e3069283");
  CHECK(extend_crc(extend_crc(0, "12345"), "6789") == 0xe3069283U);
  CHECK(extend_crc(7, "") == 7);
}

TEST_CASE("durable: a line that was read half written is not one", "[durable]") {
  const Durable durable{{1507507200, 17}, Lsn{0x17B1480}, 123456, 0xdeadbeef};
  const std::string text = durable.text();
  CHECK(text.size() == 160);
  const auto parsed = Durable::parse(text);
  REQUIRE(parsed);
  CHECK(parsed->position == durable.position);
  CHECK(parsed->lsn == durable.lsn);
  CHECK(parsed->size_bytes == durable.size_bytes);
  CHECK(parsed->chain == durable.chain);
  const std::string largest =
      Durable{{INT64_MAX, UINT64_MAX}, Lsn{UINT64_MAX}, UINT64_MAX, ~0U}.text();
  CHECK(largest.size() == 160);
  CHECK(Durable::parse(largest));
  const std::string other = Durable{{1507507203, 2}, Lsn{0x17B1499}, 23456, 0x12345678}.text();
  for (std::size_t at = 0; at < text.size(); ++at) {
    CAPTURE(at);
    CHECK_FALSE(Durable::parse(text.substr(0, at)));
    std::string flipped = text;
    flipped[at] ^= 1;
    CHECK_FALSE(Durable::parse(flipped));
    const std::string mixed = other.substr(0, at) + text.substr(at);
    if (mixed != text && mixed != other) CHECK_FALSE(Durable::parse(mixed));
  }
  support::ScratchDir directory;
  CHECK_FALSE(Durable::load(directory.path()));
  spill(directory / "durable", text);
  CHECK(Durable::load(directory.path())->position == durable.position);
  spill(directory / "durable", text.substr(1));
  CHECK_FALSE(Durable::load(directory.path()));
}

TEST_CASE("manifest: what was saved is loaded", "[manifest]") {
  support::ScratchDir directory;
  Manifest manifest = source();
  manifest.created = "2026-11-21T10:15:04Z";
  manifest.holdings = {{{0, 0}, "", {}},
                       {{1507507200, 17}, "ops.*,\"Odd,\"\"name\"", {{"only-local", "on"}}}};
  manifest.save(directory.path());
  const Manifest loaded = Manifest::load(directory.path());
  CHECK(loaded.name == "test");
  CHECK(loaded.system_identifier == manifest.system_identifier);
  CHECK(loaded.database == "foxes");
  CHECK(loaded.slot == "den");
  CHECK(loaded.created == manifest.created);
  REQUIRE(loaded.holdings.size() == 2);
  CHECK(loaded.holdings[1].since == Position{1507507200, 17});
  CHECK(loaded.holdings[1].same_filter(manifest.holdings[1]));
  CHECK_FALSE(loaded.holdings[1].same_filter(manifest.holdings[0]));
  CHECK(loaded.holdings[0].holds("anything"));
  CHECK(loaded.holdings[1].holds("ops.crew"));
  CHECK_FALSE(loaded.holdings[1].holds("crew"));
}

TEST_CASE("manifest: another file is refused", "[manifest]") {
  support::ScratchDir directory;
  const std::string path = (directory / "daystream.json").string();
  CHECK(refusal([&] { Manifest::load(directory.path()); }) ==
        "could not open file \"" + path + "\": No such file or directory");
  spill(path, "{");
  CHECK(refusal([&] { Manifest::load(directory.path()); }) ==
        "file \"" + path + "\" is damaged at byte 2: not JSON");
  spill(path, "{}");
  CHECK_THROWS_AS(Manifest::load(directory.path()), Corruption);
  spill(
      path,
      R"({"format":1,"name":"","system_identifier":"","database":"","slot":"","created":"","holdings":[]})");
  CHECK(refusal([&] { Manifest::load(directory.path()); }) ==
        "file \"" + path + "\" is damaged at byte 0: not a manifest: \"holdings\" is empty");
  spill(
      path,
      R"({"format":1,"name":"","system_identifier":"","database":"","slot":"","created":"","holdings":[{"since":"x","tables":"","options":{}}]})");
  CHECK_THROWS_AS(Manifest::load(directory.path()), Corruption);
  spill(path, R"({"format":2})");
  CHECK_THROWS_AS(Manifest::load(directory.path()), WrongSource);
}

TEST_CASE("tables: a list matches as the plugin's option does", "[manifest]") {
  CHECK(table_list_matches("flights", "flights"));
  CHECK(table_list_matches("public.flights", "flights"));
  CHECK(table_list_matches(" a , flights ", "flights"));
  CHECK_FALSE(table_list_matches("flights", "ops.flights"));
  CHECK(table_list_matches("*", "flights"));
  CHECK(table_list_matches("*", "ops.flights"));
  CHECK_FALSE(table_list_matches("public.*", "ops.flights"));
  CHECK(table_list_matches("*.*", "ops.flights"));
  CHECK(table_list_matches("ops.f*s", "ops.flights"));
  CHECK_FALSE(table_list_matches("ops.f*x", "ops.flights"));
  CHECK(table_list_matches("Flights", "flights"));
  CHECK(table_list_matches("OPS.Flights", "ops.flights"));
  CHECK(table_list_matches("\"größe\"", "\"größe\""));
  CHECK(table_list_matches("Größe", "\"größe\""));
  CHECK(table_list_matches("odd*", "odd name"));  // as another plugin may spell it
  CHECK_FALSE(table_list_matches("\"Flights\"", "flights"));
  CHECK(table_list_matches("\"Flights\"", "\"Flights\""));
  CHECK(table_list_matches("\"a*b\"", "\"a*b\""));
  CHECK_FALSE(table_list_matches("\"a*b\"", "axb"));
  CHECK(table_list_matches("\"we.ird\".\"a,b\"", "\"we.ird\".\"a,b\""));
  CHECK(table_list_matches("*a*b*c*", "xxaxxbxxcxx"));
  for (const char* list : {"", ",", "a,", "a b", "a.", ".a", "a.b.c", "a\"b\""}) {
    CAPTURE(list);
    CHECK_THROWS_AS(table_list_matches(list, "t"), ConfigError);
    CHECK_THROWS_AS(check_table_list(list), ConfigError);
  }
  CHECK(refusal([] { check_table_list("a,"); }) == "invalid table list \"a,\": a name is empty");
  CHECK(refusal([] { check_table_list("\"a"); }) ==
        "invalid table list \"\"a\": a quoted name is not closed");
}

TEST_CASE("manifest: what a pipe brought may be of any source, or of none that has a name",
          "[manifest]") {
  const SourceIdentity pipe;
  const SourceIdentity farm{"7", "foxes", "den"};
  const auto refused = [](const SourceIdentity& one, const SourceIdentity& other, Pipe what) {
    try {
      require_same_source("this", one, "that", other, "look", what);
    } catch (const WrongSource& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK(refused(pipe, farm, Pipe::MayBeTheSame).empty());
  CHECK(refused(pipe, pipe, Pipe::IsAnother).empty());
  CHECK(refused(farm, farm, Pipe::IsAnother).empty());
  CHECK(refused(pipe, farm, Pipe::IsAnother) == "this was read from a pipe, unlike that");
  CHECK(refused(farm, pipe, Pipe::IsAnother) == "this was not read from a pipe, unlike that");
  CHECK(refused({"7", "foxes", {}}, farm, Pipe::IsAnother).empty());
  CHECK(refused({"7", "hens", {}}, farm, Pipe::MayBeTheSame) ==
        "this is of database \"hens\", not \"foxes\" as that");
}

TEST_CASE("manifest: a holding comes back from the fields of a mark", "[manifest]") {
  const Holding holding{{0, 0}, "a\tb", {{"actions", "insert"}}};
  std::string fields;
  for (const auto& [key, value] : holding.fields()) {
    fields += (fields.empty() ? "" : "\t") + key + "\t";
    escape_to(fields, value);
  }
  const auto again = Holding::of_mark(fields);
  REQUIRE(again);
  CHECK(again->same_filter(holding));
  CHECK_FALSE(Holding::of_mark(""));
}

TEST_CASE("tables: a holding has what its filters let through", "[manifest]") {
  Holding holding{{0, 0}, "", {{"exclude-tables", "Secret,ops.*"}}};
  CHECK(holding.holds("flights"));
  CHECK_FALSE(holding.holds("secret"));
  CHECK_FALSE(holding.holds("ops.flights"));
  holding.tables = "*";
  CHECK_FALSE(holding.holds("secret"));
  CHECK(holding.holds("other.flights"));
}

TEST_CASE("calendar: a timestamp comes back from its text", "[calendar]") {
  for (const std::int64_t us : {0L, 1L, 1507507200'000'001L, 951'782'399'999'999L, now_us()}) {
    CAPTURE(us);
    CHECK(parse_timestamp_text(timestamp_text(at_microsecond(us))) == at_microsecond(us));
  }
  const Moment moment = at_microsecond(1795256104'123456L);
  CHECK(timestamp_text(moment) == "2026-11-21 10:15:04.123456");
  CHECK(parse_timestamp_text("2026-11-21 10:15:04.123456") == moment);
  CHECK(parse_timestamp_text("2026-11-21T10:15:04.123456Z") == moment);
  for (const char* text : {"", "never", "2026-11-21", "2026-11-21 10:15:04"}) {
    CHECK_FALSE(parse_timestamp_text(text));
  }
}

TEST_CASE("calendar: days and times are UTC", "[calendar]") {
  CHECK(day_text(day_number(1507507199)) == "2017-10-08");
  CHECK(utc_text(at_second(1507507200)) == "2017-10-09T00:00:00Z");
  CHECK(utc_text(at_second(-1)) == "1969-12-31T23:59:59Z");
  CHECK(parse_utc_text("1969-12-31T23:59:59Z") == at_second(-1));
  CHECK_FALSE(parse_utc_text("2017-10-09 00:00:00Z"));
  CHECK(parse_day("2024-02-29") == day_number(1709164800));
  for (const char* text :
       {"2023-02-29", "2023-13-01", "2023-1-01", "20230101", "2023-01-01x", ""}) {
    CHECK_FALSE(parse_day(text));
  }
}
