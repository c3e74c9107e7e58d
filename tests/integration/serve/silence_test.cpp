// What strangers, and readers that ask for much, can do to a server: nothing that others notice.
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <chrono>

#include "server_process.h"
#include "stream_fixture.h"
#include "support/scratch_dir.h"
#include "support/wait.h"

using namespace daystream;
using namespace daystream::test;
using namespace serve_test;
using support::eventually;
using support::run;

namespace {

struct FewTransactions : WrittenStream {
  FewTransactions() : writer_(writer()) {
    writer_.mark(Lsn{0x1000}, {1, 1, {}});
    for (int i = 1; i <= 5; ++i) writer_.append(transaction(i, 2));
    writer_.flush();
  }
  Writer writer_;
};

const std::string kHealth = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

}  // namespace

TEST_CASE("silence: connections that ask nothing keep nobody out, whatever the descriptors",
          "[serve][security]") {
  FewTransactions served;
  // As the finding has it: a soft limit of 1024, and a hard one that is no higher.
  ServerProcess server({served.directory.path()}, {}, 0, {"prlimit", "--nofile=1024:1024"});
  CHECK(server.process().err().find("with 1024 descriptors") != std::string::npos);
  std::vector<RawConnection> silent;
  for (int i = 0; i < 1500; ++i) silent.emplace_back(server.port());
  CHECK(outcome_of(server.url("/healthz")) == "200");
  CHECK(body_of(server.url("/test/stream?follow=0")) == slurp_days(served.directory.path()));
  CHECK(server.process().err().size() < 10000);
}

TEST_CASE("silence: the soft limit of descriptors is raised to the hard one", "[serve]") {
  FewTransactions served;
  ServerProcess server({served.directory.path()}, {}, 0, {"prlimit", "--nofile=64:4096"});
  CHECK(server.process().err().find("with 4096 descriptors") != std::string::npos);
  CHECK(server.process().err().find("at most 1920 connections, 1440 of one address") !=
        std::string::npos);
}

TEST_CASE("silence: where no descriptor is left it is said once, and the server goes on",
          "[serve][security]") {
  FewTransactions served;
  ServerProcess server({served.directory.path()}, {}, 0, {"prlimit", "--nofile=64:64"});
  // All at once, so that the kernel has accepted more than there are descriptors for.
  std::vector<RawConnection> silent;
  for (int i = 0; i < 500; ++i) silent.emplace_back(server.port());
  CHECK(eventually([&] {
    RawConnection asker(server.port());
    asker.send(kHealth);
    return asker.read_all().find("200 OK") != std::string::npos;
  }));
  CHECK(server.process().err().size() < 10000);
}

TEST_CASE("silence: what reads through a large transaction stops nobody else",
          "[serve][security]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  writer.mark(Lsn{0x1000}, {1, 1, {}});
  writer.append(transaction(1));
  const std::string filler(100'000, 'x');
  std::string large;
  for (int i = 0; i < 5000; ++i) large += row(2, i) + "\tc\t" + filler + "\n";
  writer.append(large + commit(2));
  writer.flush();
  ServerProcess server({stream.directory.path()});
  const auto position = outcome_of(server.url("/test/back?commits=1"));
  CHECK(position == "200");
  // Ten that look back through all of it, and one that wants to know whether we live.
  std::vector<RawConnection> slow;
  for (int i = 0; i < 10; ++i) {
    slow.emplace_back(server.port())
        .send("GET /test/back?commits=2 HTTP/1.1\r\nHost: localhost\r\n\r\n");
  }
  // Where the loop did the work, it would have done it in the order of asking.
  RawConnection asker(server.port());
  asker.send(kHealth);
  CHECK(asker.read_all().find("200 OK") != std::string::npos);
  std::size_t answered = 0;
  for (RawConnection& one : slow) answered += one.has_bytes() ? 1 : 0;
  CHECK(answered < slow.size());
  for (RawConnection& one : slow) CHECK(one.read_all().find("200 OK") != std::string::npos);
}

TEST_CASE("silence: what a peer asked for that has gone is not looked for", "[serve][security]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  writer.mark(Lsn{0x1000}, {1, 1, {}});
  const std::string filler(100'000, 'x');
  std::string large;
  for (int i = 0; i < 3000; ++i) large += row(1, i) + "\tc\t" + filler + "\n";
  writer.append(large + commit(1));
  writer.flush();
  ServerProcess server({stream.directory.path()});
  const std::string look_back = "GET /test/back?commits=2 HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const auto seconds_of = [&] {
    const auto start = std::chrono::steady_clock::now();
    RawConnection asker(server.port());
    asker.send(look_back);
    CHECK(asker.read_all().find("200 OK") != std::string::npos);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const double alone = seconds_of();
  for (int i = 0; i < 200; ++i) RawConnection(server.port()).send(look_back);
  CHECK(seconds_of() < 1 + 20 * alone);
}

TEST_CASE("silence: without tokens only requests by an address or a local name are answered",
          "[serve][security]") {
  FewTransactions served;
  ServerProcess server({served.directory.path()});
  const auto status = [&](const std::string& headers) {
    RawConnection connection(server.port());
    connection.send("GET /test/info HTTP/1.1\r\n" + headers + "\r\n");
    return connection.read_all().substr(9, 3);
  };
  for (const char* good : {"Host: localhost\r\n", "Host: localhost:8447\r\n",
                           "Host: 127.0.0.1:8447\r\n", "Host: [::1]:8447\r\n", "Host: dbhost\r\n",
                           "Host: 127.0.0.1\r\nOrigin: http://127.0.0.1:8447\r\n"}) {
    CAPTURE(good);
    CHECK(status(good) == "200");
  }
  for (const char* bad :
       {"Host: rebound.example.com\r\n", "Host: 127.0.0.1.example.com:8447\r\n",
        "Host: localhost.\r\n", "Host: localhost\r\nOrigin: https://elsewhere.example.com\r\n",
        "Host: localhost\r\nOrigin: http://10.1.2.3\r\n"}) {
    CAPTURE(bad);
    CHECK(status(bad) == "403");
  }
}

TEST_CASE("silence: a port is a port", "[serve]") {
  FewTransactions served;
  for (const char* listen : {"127.0.0.1:73983", "127.0.0.1:-1", "127.0.0.1:8447x", "127.0.0.1:"}) {
    CAPTURE(listen);
    const auto result =
        run({support::program("daystream"), "serve", served.directory.path(), "--listen", listen});
    CHECK(result.exit.code == 2);
    CHECK(result.err.find("cannot listen on") != std::string::npos);
  }
}

TEST_CASE("silence: a status.json that is too deep is no status", "[serve][security]") {
  FewTransactions served;
  spill(served.directory.path() / "status.json",
        "{\"a\":" + std::string(200'000, '[') + std::string(200'000, ']') + "}");
  ServerProcess server({served.directory.path()});
  CHECK(body_of(server.url("/status")).find("\"streamer\": null") != std::string::npos);
  CHECK(outcome_of(server.url("/metrics")) == "200");
}
