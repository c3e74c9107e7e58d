// What a client of `daystream serve` gets: real processes, real sockets.
#include <catch2/catch.hpp>
#include <csignal>
#include <nlohmann/json.hpp>

#include "daystream/durable.h"
#include "remote/beats.h"
#include "remote/http_client.h"
#include "remote/http_stream.h"
#include "server_process.h"
#include "sharing/dead_letters.h"
#include "sharing/file_store.h"
#include "stream_fixture.h"

using namespace daystream;
using namespace daystream::test;
using namespace serve_test;
using support::eventually;

namespace {

// Two days, a few transactions each.
void fill_two_days(WrittenStream& stream, Writer& writer) {
  writer.mark(Lsn{0x1000}, {1, 1, {}});
  for (int i = 1; i <= 9; ++i) {
    stream.now += i == 5 ? 86400 : 1;
    writer.append(transaction(i, i % 4));
  }
  writer.flush();
}

}  // namespace

TEST_CASE("serve: history and what comes are the bytes of the files, on one response", "[serve]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  fill_two_days(stream, writer);
  ServerProcess server({stream.directory.path()});
  remote::Download download({}, server.url() + "/stream?beat=1");
  std::string got;
  remote::Beats beats;
  const auto pump_until_equal = [&] {
    return eventually([&] {
      if (download.wait(std::chrono::milliseconds(100), -1)) {
        beats.strip(download.bytes(), got);
        download.bytes().clear();
      }
      return beats.at_tail() && got == slurp_days(stream.directory.path());
    });
  };
  REQUIRE(pump_until_equal());
  for (int i = 10; i < 40; ++i) {
    stream.now += i % 10 == 0 ? 86400 : 0;
    writer.append(transaction(i, i));
    writer.flush();
    REQUIRE(pump_until_equal());
  }
}

TEST_CASE("serve: a response begins after any position, as a reader does", "[serve]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  fill_two_days(stream, writer);
  ServerProcess server({stream.directory.path()});
  const std::string all = slurp_days(stream.directory.path());
  Reader reader = stream.reader();
  std::size_t at = 0;
  while (Transaction* transaction = reader.next()) {
    at = all.find(std::string(transaction->end_line().whole)) +
         transaction->end_line().whole.size() + 1;
    const std::string position = transaction->position().text();
    CAPTURE(position);
    const std::string crc(
        transaction->end_line().whole.substr(transaction->end_line().whole.find("_crc\t") + 5, 8));
    CHECK(body_of(server.url() + "/stream?follow=0&after=" + position) == all.substr(at));
    CHECK(body_of(server.url() + "/stream?follow=0&line=" + position + "&crc=" + crc) ==
          all.substr(at));
    CHECK(body_of(server.url() + "/stream?follow=0&lsn=" + transaction->lsn().text() +
                  "&after=" + position) == all.substr(at));
  }
  CHECK(at == all.size());
}

TEST_CASE("serve: nothing is sent before it is durable", "[serve]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  fill_two_days(stream, writer);
  const std::string durable = slurp_days(stream.directory.path());
  ServerProcess server({stream.directory.path()});
  writer.append(transaction(20));
  writer.write_out();
  REQUIRE(slurp_days(stream.directory.path()).size() > durable.size());
  CHECK(body_of(server.url() + "/stream?follow=0") == durable);
  writer.flush();
  CHECK(eventually([&] {
    return body_of(server.url() + "/stream?follow=0") == slurp_days(stream.directory.path());
  }));
}

TEST_CASE("serve: what a power loss has torn is not sent before it is mended", "[serve]") {
  WrittenStream stream;
  {
    Writer writer = stream.writer();
    fill_two_days(stream, writer);
  }
  std::filesystem::remove(stream.directory / "durable");
  const std::string last_day = stream.day_path("2017-10-10");
  std::string torn = slurp(last_day);
  const std::size_t good = torn.find('\n', torn.find("_xid\t7\t_lsn")) + 1;
  const std::string whole = slurp_days(stream.directory.path());
  const std::string sent = whole.substr(0, whole.size() - torn.size() + good);
  torn.replace(good, 8, 8, '\0');
  spill(last_day, torn);
  ServerProcess server({stream.directory.path()});
  CHECK(body_of(server.url() + "/stream?follow=0") == sent);
  Reader reader(remote::http_stream({}, server.url()), {});
  Writer writer = stream.writer();
  CHECK(writer.recovery().cut_bytes > 0);
  for (int i = 8; i <= 12; ++i) writer.append(transaction(i, i % 4));
  writer.flush();
  CHECK(eventually([&] {
    return body_of(server.url() + "/stream?follow=0") == slurp_days(stream.directory.path());
  }));
  CHECK(eventually([&] {
    while (Transaction* next = reader.next()) {
      if (next->lsn() == lsn_of(12)) return true;
    }
    return false;
  }));
}

TEST_CASE("serve: what cannot be had is refused by status and code", "[serve]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  fill_two_days(stream, writer);
  Reader reader = stream.reader();
  const std::string first = reader.next()->position().text();
  ServerProcess server({stream.directory.path()});
  const auto outcome = [&](const std::string& path) { return outcome_of(server.url(path)); };
  CHECK(outcome("/healthz") == "200");
  CHECK(outcome("/other/stream") == "404 no-such-stream");
  CHECK(outcome("/test/daystream.json") == "404 not-found");
  CHECK(outcome("/test/../lock") == "404 not-found");
  CHECK(outcome("/test/..%2f..%2fetc%2fpasswd") == "404 not-found");
  CHECK(outcome("/test/stream?after=first") == "400 bad-request");
  CHECK(outcome("/test/stream?aftre=" + first) == "400 bad-request");
  CHECK(outcome("/test/stream?line=" + first + "&crc=00000000") == "409 wrong-source");
  CHECK(outcome("/test/stream?line=1507550402/99") == "409 wrong-source");
  CHECK(outcome("/test/stream?line=1907550402/0") == "503 ahead");
  CHECK(outcome("/test/stream?after=1907550402/0&lsn=FF/0") == "503 behind");
  CHECK(outcome("/test/seam") == "400 bad-request");
  CHECK(outcome_of(server.url("/test/stream"), "POST") == "405 method");
  CHECK(outcome("/test/copies") == "405 method");
  std::filesystem::remove(stream.day_path());
  CHECK(outcome("/test/stream?line=" + first) == "410 position-gone");
  CHECK(outcome("/test/stream?after=" + first) == "410 position-gone");
}

TEST_CASE("serve: a seed's seam is the library's", "[serve]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  fill_two_days(stream, writer);
  ServerProcess server({stream.directory.path()});
  const auto seam = Stream(stream.directory.path()).find_seam(6);
  REQUIRE(seam);
  const std::string body = body_of(server.url() + "/seam?xmin=6");
  CHECK(body.find('"' + seam->position.text() + '"') != std::string::npos);
  CHECK(body.find('"' + seam->lsn.text() + '"') != std::string::npos);
  CHECK(body_of(server.url() + "/seam?xmin=0") == "{\"seam\":null}\n");
}

TEST_CASE("serve: no other address than this machine's without TLS", "[serve][security]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  fill_two_days(stream, writer);
  const auto result = support::run(
      {support::program("daystream"), "serve", stream.directory.path(), "--listen", "0.0.0.0:0"});
  CHECK(result.exit.code == 2);
  CHECK(result.err.find("cannot listen on \"0.0.0.0:0\" without TLS and authentication") !=
        std::string::npos);
}

TEST_CASE("serve: followers that take nothing cost the others nothing", "[serve][stuck]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  fill_two_days(stream, writer);
  const std::string value(8000, 'x');
  for (int i = 10; i < 40; ++i) {
    std::string lines;
    for (int n = 0; n < 100; ++n) lines += row(i, n) + value + "\n";
    writer.append(lines + commit(i));
  }
  writer.flush();
  const std::string all = slurp_days(stream.directory.path());
  REQUIRE(all.size() > 20 * 1024 * 1024);

  ServerProcess server({stream.directory.path()});
  std::vector<RawConnection> stuck;
  for (int i = 0; i < 50; ++i) {
    stuck.emplace_back(server.port()).send("GET /test/stream HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  for (RawConnection& one : stuck) REQUIRE(one.read_some(12) == "HTTP/1.1 200");
  CHECK(body_of(server.url() + "/stream?follow=0") == all);
  // 50 times what was not taken would be a gigabyte.
  CHECK(server.process().peak_resident_bytes() < 64 * 1024 * 1024);
}

TEST_CASE("serve: a follower that takes nothing for long is let go", "[serve][stuck]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  fill_two_days(stream, writer);
  std::string lines;
  for (int n = 0; n < 2000; ++n) lines += row(10, n) + std::string(8000, 'x') + "\n";
  writer.append(lines + commit(10));
  writer.flush();
  ServerProcess server({stream.directory.path()}, {"--stall-timeout", "1"});
  RawConnection stuck(server.port());
  stuck.send("GET /test/stream HTTP/1.1\r\nHost: x\r\n\r\n");
  REQUIRE(stuck.read_some(12) == "HTTP/1.1 200");
  CHECK(eventually([&] {
    return body_of(server.url("/status")).find("\"followers\": []") != std::string::npos;
  }));
  CHECK(stuck.read_all().size() < lines.size());  // the rest never came
}

TEST_CASE("serve: status and metrics tell of followers and copies", "[serve][status]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  fill_two_days(stream, writer);
  ServerProcess server({stream.directory.path()});
  RawConnection follower(server.port());
  follower.send("GET /test/stream HTTP/1.1\r\nHost: x\r\nDaystream-Host: edge7\r\n\r\n");
  REQUIRE(follower.read_some(12) == "HTTP/1.1 200");
  CHECK(outcome_of(server.url("/test/copies?copy=spare&kind=pull&position=1507550402/1&lsn=0/1020"),
                   "POST") == "200");
  const std::string last = Durable::load(stream.directory.path())->position.text();
  CHECK(eventually([&] {
    const std::string status = body_of(server.url("/status"));
    return status.find("\"host\": \"edge7\"") != std::string::npos &&
           status.find("\"position\": \"" + last + "\"") != std::string::npos &&
           status.find("\"copy\": \"spare\"") != std::string::npos;
  }));
  CHECK(eventually([&] {
    return body_of(server.url("/metrics"))
               .find("daystream_followers{stream=\"test\",state=\"live\"} 1\n") !=
           std::string::npos;
  }));
  CHECK(body_of(server.url("/metrics")).find("daystream_copies{stream=\"test\"} 1\n") !=
        std::string::npos);
}

TEST_CASE("serve: status and metrics tell of consumer groups", "[serve][status]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  fill_two_days(stream, writer);
  ServerProcess server({stream.directory.path()});
  CHECK(body_of(server.url("/status")).find("\"groups\": []") != std::string::npos);

  const auto folder = stream.directory.path() / ".groups/mail";
  sharing::FileStore::create(folder, {sharing::By::Table, 2, "", Position::begin(), ""});
  sharing::FileStore store(folder);
  const auto later = sharing::boot_time() + std::chrono::hours(1);
  store.beat({"h-1", 1, "", sharing::boot_id(), later});
  sharing::PartRecord record;
  record.epoch = 1;
  record.holder = "h-1";
  record.boot = sharing::boot_id();
  record.expires_at = later;
  record.redeliveries = 3;
  record.expired = 4;
  record.failures = 2;
  record.problem = "it ended";
  REQUIRE(store.take(1, record));
  sharing::DeadLetter letter;
  letter.part = 1;
  letter.position = {kNoon, 1};
  sharing::DeadLetters(folder).put(letter, [](File&) {});

  nlohmann::json groups;
  REQUIRE(eventually([&] {
    groups = nlohmann::json::parse(body_of(server.url("/status"))).at("streams")[0].at("groups");
    return groups.size() == 1 && groups[0].at("parts")[1].at("dead_letters") == 1;
  }));
  auto shown =
      nlohmann::json::parse(support::run_ok({support::program("daystream"), "group",
                                             stream.directory.path(), "status", "mail", "--json"}));
  for (nlohmann::json* const one : {&groups[0], &shown}) {
    for (nlohmann::json& part : one->at("parts")) {
      CHECK(part.at("lag_seconds").is_number());
      part.erase("lag_seconds");
    }
  }
  CHECK(groups[0] == shown);

  const std::string metrics = body_of(server.url("/metrics"));
  const auto says = [&](const std::string& name, const std::string& value) {
    return metrics.find(fmt::format("\ndaystream_group_{} {}\n", name, value)) != std::string::npos;
  };
  const std::string one = R"({stream="test",group="mail"})";
  const std::string free = R"({stream="test",group="mail",part="0"})";
  const std::string held = R"({stream="test",group="mail",part="1"})";
  CHECK(says("workers" + one, "1"));
  CHECK(says("paused" + one, "0"));
  CHECK(says("part_held" + free, "0"));
  CHECK(says("part_held" + held, "1"));
  CHECK(says("failures" + held, "2"));
  CHECK(says("redeliveries_total" + held, "3"));
  CHECK(says("expired_total" + held, "4"));
  CHECK(says("dead_letters" + held, "1"));
  CHECK(says("gone" + free, "0"));
  CHECK(says("lag_bytes" + free, shown.at("parts")[0].at("lag_bytes").dump()));
  CHECK(metrics.find("\ndaystream_group_lag_seconds" + free) != std::string::npos);

  // It is not there any more, or cannot be read: the server goes on without it.
  spill(folder / "parts/1/1.json", "{}");
  CHECK(eventually(
      [&] { return body_of(server.url("/status")).find("\"groups\": []") != std::string::npos; }));
  CHECK(server.process().err().find("not a file of a consumer group") != std::string::npos);
  store.drop();
  CHECK(body_of(server.url("/status")).find("\"groups\": []") != std::string::npos);
}

TEST_CASE("serve: what is no request disturbs nobody", "[serve][bad]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  fill_two_days(stream, writer);
  ServerProcess server({stream.directory.path()});
  const std::string all = slurp_days(stream.directory.path());

  SECTION("bytes that are no HTTP") {
    RawConnection peer(server.port());
    peer.send(std::string(1000, '\xff') + "\r\n\r\n");
    peer.read_all();
  }
  SECTION("headers without an end") {
    RawConnection peer(server.port());
    peer.send("GET /test/stream HTTP/1.1\r\n");
    for (int i = 0; i < 100; ++i) peer.send("X: " + std::string(1000, 'y') + "\r\n");
    peer.read_all();
  }
  SECTION("a body that is too large") {
    RawConnection peer(server.port());
    peer.send("POST /test/copies HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n");
    peer.read_all();
  }
  SECTION("more after the request") {
    RawConnection peer(server.port());
    peer.send("GET /test/stream?follow=0 HTTP/1.1\r\nHost: x\r\n\r\n" + std::string(100000, 'z'));
    peer.read_all();
  }
  SECTION("a follower that talks") {
    RawConnection peer(server.port());
    peer.send("GET /test/stream HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(peer.read_some(12) == "HTTP/1.1 200");
    peer.send(std::string(1000, 'z'));
  }
  SECTION("a follower that goes away") {
    for (int i = 0; i < 20; ++i) {
      RawConnection peer(server.port());
      peer.send("GET /test/stream HTTP/1.1\r\nHost: x\r\n\r\n");
      if (i % 2 == 0) peer.read_some(12);
    }
  }
  CHECK(body_of(server.url() + "/stream?follow=0") == all);
  CHECK(server.process().running());
}
