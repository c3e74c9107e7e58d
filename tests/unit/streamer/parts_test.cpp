// The small pure parts: frames, timelines, standby names, the clock, configuration, status.
#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "config/stream_config.h"
#include "daystream/error.h"
#include "program/disk_space.h"
#include "program/figures.h"
#include "program/pauses.h"
#include "server/frames.h"
#include "server/server_error.h"
#include "server/server_monitor.h"
#include "server/server_version.h"
#include "server/synchronous_standby.h"
#include "server/timeline.h"
#include "status/status.h"
#include "support/scratch_dir.h"
#include "support/temp_dir.h"
#include "write/clock_guard.h"

using namespace deltastream;
using daystream::Lsn;
using daystream::program::SqlError;
using std::string_literals::operator""s;

TEST_CASE("frames: XLogData and keepalive are taken apart", "[frames]") {
  const std::string header = "\0\0\0\1\0\0\0\2"s + "\0\0\0\3\0\0\0\4"s + "\0\0\0\0\0\0\0\0"s;
  const std::string message = "w" + header + "line";
  const Frame data = parse_frame(message);  // which it borrows
  REQUIRE(std::holds_alternative<XLogData>(data));
  CHECK(std::get<XLogData>(data).lsn == Lsn{0x1'0000'0002});
  CHECK(std::get<XLogData>(data).sent_us == 946'684'800'000'000);  // 2000-01-01
  CHECK(std::get<XLogData>(data).payload == "line");
  const Frame keepalive = parse_frame("k" + header.substr(0, 8) + header.substr(16) + "\1");
  REQUIRE(std::holds_alternative<Keepalive>(keepalive));
  CHECK(std::get<Keepalive>(keepalive).reply_requested);
}

TEST_CASE("frames: a message cut short or of another kind is an error", "[frames]") {
  CHECK_THROWS_WITH(parse_frame(""), "empty message in the replication stream");
  CHECK_THROWS_WITH(parse_frame("x"), "message of type 0x78 and 1 bytes in the replication stream");
  CHECK_THROWS_AS(parse_frame("w"s + std::string(23, '\0')), daystream::ProtocolError);
  CHECK_THROWS_AS(parse_frame("k"s + std::string(16, '\0')), daystream::ProtocolError);
  // Of a time so far away not even the difference to ours is a number.
  CHECK_THROWS_WITH(parse_frame("k"s + std::string(8, '\0') + "\x7f" + std::string(8, '\xff')),
                    Catch::Contains("which is no time"));
  CHECK_THROWS_WITH(parse_frame("w"s + std::string(16, '\0') + "\x80" + std::string(7, '\0')),
                    Catch::Contains("which is no time"));
}

TEST_CASE("frames: a status packet says written, flushed and, for applied, flushed", "[frames]") {
  const auto bytes = encode({Lsn{3}, Lsn{2}, 946'684'800'000'001, true});
  const std::string expected = "r\0\0\0\0\0\0\0\3"s + "\0\0\0\0\0\0\0\2"s + "\0\0\0\0\0\0\0\2"s +
                               "\0\0\0\0\0\0\0\1"s + "\1"s;
  CHECK(std::string(bytes.data(), bytes.size()) == expected);
}

TEST_CASE("timeline: a history file is read as PostgreSQL writes it", "[timeline]") {
  const auto history = parse_timeline_history(
      "1\t0/3000148\tno recovery target specified\n\n# a comment\n"
      "2\t1A/5000000\tbefore 2026-11-21 10:00\n");
  REQUIRE(history.size() == 2);
  CHECK(history[0].timeline == 1);
  CHECK(history[0].end == Lsn{0x3000148});
  CHECK(history[1].timeline == 2);
  CHECK(history[1].end == Lsn{0x1A'0500'0000});
  CHECK(parse_timeline_history("").empty());
  CHECK_THROWS_WITH(parse_timeline_history("1 x\n"), "cannot read timeline history line \"1 x\"");
}

TEST_CASE("standby names: each form PostgreSQL takes", "[standby]") {
  struct Case {
    std::string setting;
    int required;
    bool includes;
  };
  const Case cases[] = {
      {"", 0, false},
      {"deltastream", 1, true},
      {"other, DeltaStream", 1, true},
      {"*", 1, true},
      {"FIRST 2 (a, deltastream, b)", 2, true},
      {"ANY 1 (a, b)", 1, false},
      {"2 (a, \"deltastream\")", 2, true},
      {"\"delta stream\"", 1, false},
      {"first 1 (\"a\"\"b\", deltastream)", 1, true},
      {"(deltastream)", 0, false},
      {"ANY x (deltastream)", 0, false},
  };
  for (const Case& c : cases) {
    CAPTURE(c.setting);
    const StandbyNames names = StandbyNames::parse(c.setting);
    CHECK(names.required == c.required);
    CHECK(names.includes("deltastream") == c.includes);
  }
}

TEST_CASE("clock: only one that is ahead of server and stream is refused", "[clock]") {
  constexpr std::int64_t kHourUs = 3'600'000'000;
  std::int64_t wall = 1'000 * kHourUs;
  std::int64_t elapsed = 0;
  ClockGuard clock([&] { return wall; }, [&] { return elapsed; });
  CHECK(clock.now(-1) == 3'600'000);  // no server, as from a pipe: ours is all there is
  clock.set_server(wall);
  CHECK(clock.now(3'600'000) == 3'600'000);
  wall -= 5 * kHourUs;  // back is no problem
  CHECK(clock.now(3'600'000) == 3'582'000);
  wall += 5 * kHourUs;

  SECTION("ahead of both") {
    wall += kHourUs + 1'000'000;
    CHECK_THROWS_AS(clock.now(3'600'000), daystream::NeedsPerson);
    CHECK_THROWS_WITH(clock.now(3'600'000),
                      "this machine's clock says 1970-02-11T17:00:01Z, the server's "
                      "1970-02-11T16:00:00Z: more than an hour ahead");
  }
  SECTION("ahead of the stream only: it was idle") {
    wall += 10 * kHourUs;
    clock.saw_server(wall);
    CHECK(clock.now(3'600'000) == 3'636'000);
  }
  SECTION("ahead of the server only: the stream has been there") {
    wall += 10 * kHourUs;
    CHECK(clock.now(3'636'000) == 3'636'000);
  }
  SECTION("after a long stop, messages of before are no sign of a server behind") {
    wall += 10 * kHourUs;
    elapsed += 10 * kHourUs;
    clock.saw_server(1'000 * kHourUs);
    CHECK(clock.now(3'600'000) == 3'636'000);
  }
}

TEST_CASE("pauses: grow, end growing, begin again, and differ from stream to stream", "[pauses]") {
  using daystream::program::Pauses;
  const auto within = [](std::chrono::milliseconds pause, int least, int most) {
    return pause.count() >= least && pause.count() <= most;
  };
  const std::chrono::milliseconds first{100};
  const std::chrono::milliseconds longest{30'000};
  std::set<std::int64_t> sixths;
  for (int stream = 0; stream < 50; ++stream) {
    Pauses pauses(first, longest);
    CHECK(within(pauses.next(), 50, 100));
    CHECK(within(pauses.next(), 100, 200));
    for (int i = 0; i < 3; ++i) pauses.next();
    sixths.insert(pauses.next().count());  // of 1,600 to 3,200 ms
    for (int i = 0; i < 20; ++i) pauses.next();
    CHECK(within(pauses.next(), 15'000, 30'000));
    pauses.reset();
    CHECK(within(pauses.next(), 50, 100));
  }
  CHECK(sixths.size() > 20);
}

TEST_CASE("disk: enough room is 16 MiB, or a twentieth of a small file system", "[disk]") {
  using daystream::program::disk_space;
  using daystream::program::has_room;
  CHECK(has_room({16 << 20, std::uint64_t{1} << 40}));
  CHECK_FALSE(has_room({(16 << 20) - 1, std::uint64_t{1} << 40}));
  CHECK(has_room({1 << 20, 20 << 20}));
  CHECK_FALSE(has_room({(1 << 20) - 1, 20 << 20}));
  CHECK(disk_space("/no/such/directory"));
}

TEST_CASE("server errors: what waits, what needs a person, what was asked wrong",
          "[server_error]") {
  const auto explained = [](const char* state, const std::string& text) {
    try {
      explain_server_error(SqlError(text, "", state));
    } catch (const daystream::Error& e) {
      return std::string(e.retryable() ? "retry" : "exit ") +
             (e.retryable() ? "" : std::to_string(static_cast<int>(e.exit_code())));
    }
  };
  CHECK(explained("55006", "replication slot \"s\" is active for PID 7") == "retry");
  CHECK(explained("57P01", "terminating connection due to administrator command") == "retry");
  CHECK(explained("57P03", "the database system is starting up") == "retry");
  CHECK(explained("53100", "could not write to file: No space left on device") == "retry");
  CHECK(explained("0A000", "logical decoding cannot be used while in recovery") == "retry");
  CHECK(explained("42704", "replication slot \"s\" does not exist") == "exit 3");
  CHECK(explained("55000", "can no longer get changes from replication slot \"s\"") == "exit 3");
  CHECK(explained("58P01", "requested WAL segment 01 has already been removed") == "exit 3");
  CHECK(explained("58P01", "could not access file \"deltaflood\": No such file") == "exit 3");
  CHECK(explained("42501", "library \"deltaflood\" may not be used as an output plugin") ==
        "exit 3");
  CHECK(explained("55000", "logical decoding requires wal_level >= logical") == "exit 3");
  CHECK(explained("22023", "invalid value for option \"actions\"") == "exit 2");
  CHECK(explained("XX000", "something broke") == "exit 1");
}

TEST_CASE("config: flags, and the order of filters does not matter", "[config]") {
  const Config one = parse_config(
      std::vector<std::string>{"-d", "dbname=x", "-S", "s", "-D", "d", "-o", "only-local", "-o",
                               "actions=insert,update", "-E", "0/17B1480", "-F", "0.5", "-n"});
  CHECK(one.command == Command::Follow);
  CHECK(one.end_lsn == Lsn{0x17B1480});
  CHECK(one.fsync_interval.count() == 500);
  CHECK_FALSE(one.loop);
  REQUIRE(one.filters.size() == 2);
  CHECK(one.filters[1] == std::pair<std::string, std::string>{"only-local", "on"});
  const Config two =
      parse_config(std::vector<std::string>{"-d", "dbname=x", "-S", "s", "-D", "d", "-o",
                                            "actions=insert,update", "-o", "only-local=on"});
  CHECK(same_stream(one, two));
  CHECK(parse_config(std::vector<std::string>{"-S", "s", "--create-slot"}).command ==
        Command::CreateSlot);
  CHECK(parse_config(std::vector<std::string>{"status", "d", "--json"}).json);
}

TEST_CASE("config: what the server would refuse is refused before", "[config]") {
  const auto problem = [](std::vector<std::string> more) -> std::string {
    more.insert(more.end(), {"-D", "d"});
    try {
      parse_config(more);
    } catch (const std::exception& e) {
      return e.what();
    }
    return "";
  };
  const auto filter = [&](const std::string& text) { return problem({"-S", "s", "-o", text}); };
  CHECK(problem({"-S", "Prod-X"}) ==
        "invalid slot name \"Prod-X\": small letters, digits and _, at most 63 of them");
  CHECK(problem({"-S", std::string(64, 'a')}).starts_with("invalid slot name"));
  CHECK(problem({"-S", "prod_2"}).empty());
  CHECK(filter("actions=inserts") ==
        "invalid action \"inserts\" of filter actions: insert, update, delete, truncate");
  CHECK(filter("actions=insert, update").empty());
  CHECK(filter("only-local=maybe") == "invalid value \"maybe\" of filter only-local: on or off");
  CHECK(filter("only-local=TRUE").empty());
  CHECK(filter("exclude-tables=a,,b").starts_with("invalid list \"a,,b\" of filter "));
  CHECK(filter("exclude-columns=fox.a,*.*.secret").empty());
  CHECK(filter("include-messages=my app*").empty());
}

TEST_CASE("config: a service's file does for what is done once with its slot", "[config]") {
  const support::ScratchDir folder;
  const std::string file = folder / "service.json";
  support::write_file(
      file, R"({"dbname": "dbname=x", "slot": "s", "create-slot": true, "if-not-exists": true})");
  const auto command = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"--config", file, "-D", "d"});
    return parse_config(more).command;
  };
  CHECK(command({}) == Command::Follow);
  CHECK(command({"--drop-slot"}) == Command::DropSlot);
  CHECK(command({"--recreate-slot"}) == Command::RecreateSlot);
  CHECK(command({"--check"}) == Command::Check);
  CHECK_THROWS_WITH(command({"--drop-slot", "--create-slot"}),
                    Catch::Contains("exclude each other"));
}

TEST_CASE("status: what is saved is read again", "[status]") {
  Status status;
  status.state = "streaming";
  status.pid = 7;
  status.position = {1507507200, 17};
  status.lsn = Lsn{0x17B1480};
  status.server.lag_bytes = 12;
  status.last_error = "a \"quoted\" one";
  const auto again = Status::parse(status.json());
  REQUIRE(again);
  CHECK(again->json() == status.json());
  CHECK_FALSE(Status::parse("{"));
  CHECK_FALSE(Status::parse("{\"state\": 1}"));
  CHECK(daystream::program::bytes_text(999) == "999 B");
  CHECK(daystream::program::bytes_text(1'200'000'000) == "1.2 GB");
  CHECK(daystream::program::seconds_text(90) == "90 s");
  CHECK(daystream::program::seconds_text(7200) == "2 h");
}

TEST_CASE("server: a page's header is not what a stream waits for", "[server]") {
  using deltastream::end_of_records;
  constexpr std::uint64_t kPage = 8192;
  constexpr std::uint64_t kSegment = 16 << 20;
  const auto end = [](std::uint64_t insert) {
    return end_of_records(Lsn{insert}, kPage, kSegment).value;
  };
  CHECK(end(0x153B7E8) == 0x153B7E8);
  CHECK(end(7 * kPage + 24) == 7 * kPage);
  CHECK(end(7 * kPage + 40) == 7 * kPage + 40);  // a record that ends soon after the header
  CHECK(end(3 * kSegment + 40) == 3 * kSegment);
  CHECK(end(3 * kSegment + 24) == 3 * kSegment + 24);
  CHECK(end(3 * kSegment + kPage + 24) == 3 * kSegment + kPage);
}

TEST_CASE("server version: what a later minor release mended is told, and only that",
          "[streamer]") {
  CHECK(known_faults(150020).empty());
  CHECK(known_faults(150021).empty());
  CHECK(known_faults(160001).empty());
  CHECK(known_faults(150019).find("PostgreSQL 15.19 has faults that 15.20 has not: ") == 0);
  CHECK(known_faults(150019).find("savepoint") != std::string::npos);
  CHECK(known_faults(150019).find("ALTER") == std::string::npos);
  CHECK(known_faults(150012).find("ALTER") != std::string::npos);
  CHECK(known_faults(150013).find("ALTER") == std::string::npos);
}
