// Requests that nobody sends on purpose, as fast as they go, while followers follow. The seed is
// printed; FUZZ_SEED takes it back, FUZZ_SECONDS says for how long (5; the suite "fuzz": an hour).
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <random>

#include "../../integration/serve/server_process.h"
#include "stream_fixture.h"
#include "support/catch2_positions.h"
#include "support/scratch_dir.h"

using namespace daystream;
using namespace daystream::test;
using namespace serve_test;
using support::eventually;
using support::program;

namespace {

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::stoull(text) : otherwise;
}

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}

  std::size_t below(std::size_t end) {
    return std::uniform_int_distribution<std::size_t>(0, end - 1)(random_);
  }
  // A request as one should be, of all kinds.
  std::string request() {
    static const std::vector<std::string> targets = {
        "/",
        "/healthz",
        "/status",
        "/metrics",
        "/history",
        "/test",
        "/test/info",
        "/test/manifest",
        "/test/extent",
        "/test/seam?xmin=6",
        "/test/back?commits=3",
        "/test/snapshots",
        "/test/snapshot?id=0",
        "/test/stream?follow=0",
        "/test/stream?follow=0&tables=fox,o*",
        "/test/stream?follow=0&line=1507550402/1&chain=00000000&tables=fox",
        "/test/stream?follow=0&line=1507550402/1&crc=00000000",
        "/test/stream?after=1507550402/1&lsn=0/1020&beat=1",
        "/test/copies?copy=a&kind=pull&position=1507550402/1&lsn=0/1&lag_ms=5&crc=00000000"};
    static const std::vector<std::string> headers = {"Host: x",
                                                     "Accept-Encoding: gzip, zstd;q=0.5",
                                                     "Authorization: Bearer abc",
                                                     "Range: bytes=5-",
                                                     "Daystream-Host: edge",
                                                     "Connection: keep-alive",
                                                     "Content-Length: 3",
                                                     "Transfer-Encoding: chunked",
                                                     "Expect: 100-continue"};
    std::string text = below(4) == 0 ? "POST " : "GET ";
    text += targets[below(targets.size())] + " HTTP/1.1\r\n";
    for (std::size_t i = below(4); i > 0; --i) text += headers[below(headers.size())] + "\r\n";
    return text + "\r\n" + (below(3) == 0 ? "abc" : "");
  }
  // Some bytes flipped, cut, doubled, put in or thrown away.
  void damage(std::string& text) {
    for (std::size_t i = below(5); i > 0 && !text.empty(); --i) {
      const std::size_t at = below(text.size());
      switch (below(6)) {
        case 0:
          text[at] = static_cast<char>(below(256));
          break;
        case 1:
          text.resize(at);
          break;
        case 2:
          text.insert(at, text.substr(at, below(100) + 1));
          break;
        case 3:
          text.insert(at, below(2000), static_cast<char>(below(256)));
          break;
        case 4:
          text.erase(at, below(20) + 1);
          break;
        default:
          text.insert(at, pieces_[below(pieces_.size())]);
      }
    }
  }

 private:
  std::mt19937_64 random_;
  const std::vector<std::string> pieces_ = {"%00",
                                            "%",
                                            "%2e%2e/",
                                            "../",
                                            "&",
                                            "=",
                                            "?",
                                            "#",
                                            "\r\n",
                                            "\n",
                                            "\r\n\r\n",
                                            "-1",
                                            "99999999999999999999",
                                            "0x",
                                            "\t",
                                            "//",
                                            "tables=",
                                            "\"",
                                            "*,*,*",
                                            "HTTP/1.0",
                                            "\xff\xfe",
                                            "line=",
                                            "1507550400/99999999999"};
};

}  // namespace

TEST_CASE("serve: no request crashes it, leaks, or disturbs a follower", "[serve][fuzz]") {
  const std::uint64_t seed = number_from("FUZZ_SEED", std::random_device{}());
  const std::chrono::seconds length(number_from("FUZZ_SECONDS", 5));
  std::cout << "FUZZ_SEED=" << seed << std::endl;
  Mutator mutator(seed);
  WrittenStream stream;
  Writer writer = stream.writer();
  writer.mark(Lsn{0x1000}, {1, 1, {}});
  int number = 0;
  const auto add = [&] {
    stream.now += 1;
    ++number;
    writer.append(transaction(number, number % 4));
    writer.flush();
  };
  for (int i = 0; i < 50; ++i) add();
  support::ScratchDir snapshots;
  spill(snapshots / "a.db", std::string(100000, 'x'));
  ServerProcess server({stream.directory.path()}, {"--request-timeout", "2", "--stall-timeout", "5",
                                                   "--snapshots", snapshots.path()});
  Process follower({program("daystream"), "cat", server.url(), "--follow"});
  Process some({program("daystream"), "cat", server.url(), "--follow", "--tables", "fox"});
  REQUIRE(eventually([&] { return !follower.out().empty() && !some.out().empty(); }));

  std::vector<RawConnection> open;  // that are left hanging for a while
  std::uint64_t requests = 0;
  std::size_t warm_bytes = 0;
  const auto began = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() < began + length) {
    std::string request = mutator.request();
    if (mutator.below(8) != 0) mutator.damage(request);
    if (requests % 50 == 0 && !server.process().running())
      FAIL(requests << " " << server.process().err());
    open.emplace_back(server.port()).send(request);
    ++requests;
    // Never further ahead of it than the queue of its socket is long: a server that gets little of
    // the CPU would not take a connection for minutes then, and connect() gives up.
    // (Then it may also not get to a request within the time that it gives its peers here.)
    if (requests % 100 == 0) {
      REQUIRE(eventually([&] {
        RawConnection sane(server.port());
        sane.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        return sane.read_all().find("HTTP/1.1 200 OK") == 0;
      }));
    }
    if (mutator.below(3) == 0) open.pop_back();
    while (open.size() > 50) open.erase(open.begin());
    if (requests % 500 == 0 && number < 900) add();  // (it counts to 999)
    if (requests == 5000) warm_bytes = server.process().resident_bytes();
    if (requests % 1000 == 0) REQUIRE(server.process().running());
  }
  open.clear();
  // One with a row: "cat --tables" is silent about transactions in which it finds none.
  do {
    add();
  } while (number % 4 == 0);
  CAPTURE(seed, requests);
  CHECK(server.process().running());
  CHECK(body_of(server.url() + "/stream?follow=0") == slurp_days(stream.directory.path()));
  CHECK(eventually([&] { return follower.out() == slurp_days(stream.directory.path()); }));
  const std::string last = lsn_of(number).text();
  CHECK(eventually([&] { return some.out().find(last) != std::string::npos; }));
  const std::size_t resident = server.process().resident_bytes();
  std::cout << requests << " requests, resident after 5000 and now: " << warm_bytes / 1024
            << " and " << resident / 1024 << " KiB" << std::endl;
  // What each of them leaves behind, however little, would show in an hour.
  if (warm_bytes != 0) CHECK(resident < warm_bytes + 32 * 1024 * 1024);
  server.process().signal(SIGTERM);
  CHECK(server.process().wait() == support::Exit{0, 0});
  CHECK(server.process().err().find("runtime error") == std::string::npos);
}
