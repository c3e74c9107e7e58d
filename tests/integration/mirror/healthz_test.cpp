// What a load balancer is told, asked by a real one.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "daystream/unique_fd.h"
#include "pipeline.h"
#include "support/free_port.h"

using namespace support;

namespace {

// HAProxy before one host, of which only /healthz is asked.
struct Balanced : Pipeline {
  Balanced() {
    cluster.execute("CREATE TABLE t(id int PRIMARY KEY, v text)");
    start_stream();
    REQUIRE(seed({"--table", "t"}).ok());
  }
  void start_run(std::vector<std::string> more) { start_run_from(stream(), std::move(more)); }
  void start_run_from(const std::string& from, std::vector<std::string> more) {
    std::vector<std::string> argv = {program("deltamirror"),
                                     "run",
                                     mirror(),
                                     "--daystream",
                                     from,
                                     "--healthz",
                                     "127.0.0.1:" + std::to_string(port)};
    argv.insert(argv.end(), more.begin(), more.end());
    runner.emplace(argv);
  }
  void start_server() {
    server.emplace(std::vector<std::string>{program("daystream"), "serve", stream(), "--listen",
                                            "127.0.0.1:" + std::to_string(served)});
    REQUIRE(eventually([&] {
      return !server->running() || server->err().find("serving at") != std::string::npos;
    }));
  }
  Result status() const { return run({program("deltamirror"), "status", mirror()}); }
  void start_balancer() {
    const std::string file = (dir / "haproxy.cfg").string();
    std::ofstream(file) << "defaults\n  mode http\n  timeout connect 2s\n  timeout client 20s\n"
                           "  timeout server 20s\n  timeout check 2s\n"
                           "frontend front\n  bind 127.0.0.1:"
                        << front
                        << "\n  default_backend hosts\nbackend hosts\n"
                           "  option httpchk GET /healthz\n  http-check expect status 200\n"
                           "  server one 127.0.0.1:"
                        << port << " check inter 200ms fall 1 rise 1\n";
    balancer.emplace(std::vector<std::string>{"/usr/sbin/haproxy", "-db", "-f", file});
  }
  // "200 fresh"; what curl says of an address where nobody listens is "000".
  static std::string ask(int at, const std::string& path = "/healthz",
                         const std::vector<std::string>& more = {}) {
    std::vector<std::string> argv = {"curl", "-s", "--max-time", "20", "-w", "%{http_code}"};
    argv.insert(argv.end(), more.begin(), more.end());
    argv.push_back("http://127.0.0.1:" + std::to_string(at) + path);
    std::string out = run(argv).out;
    const std::string code = out.substr(out.size() - 3);
    out.resize(out.size() - 3);
    return code + ' ' + out;
  }
  bool becomes(int at, const std::string& text) const {
    return eventually([&] { return ask(at).find(text) != std::string::npos; });
  }

  const int port = free_port();
  const int front = free_port();
  const int served = free_port();
  std::optional<Process> server;
  std::optional<Process> balancer;
};

// What HAProxy itself says while it has taken all hosts out.
const std::string kTakenOut = "No server is available";

}  // namespace

TEST_CASE("healthz: a load balancer takes a host out while its mirror is not fresh",
          "[mirror][healthz][integration]") {
  Balanced s;
  s.start_run({"--max-lag", "2s"});
  s.start_balancer();
  REQUIRE(s.becomes(s.front, "200 fresh"));

  SECTION("hung") {
    s.runner->signal(SIGSTOP);
    CHECK(s.becomes(s.front, kTakenOut));
    s.runner->signal(SIGCONT);
  }
  SECTION("killed") {
    s.kill_run();
    CHECK(s.becomes(s.front, kTakenOut));
    s.start_run({"--max-lag", "2s"});
  }
  SECTION("behind, as somebody else holds its lock") {
    deltamirror::Database other(s.mirror(), deltamirror::Database::Mode::ReadWrite);
    other.exec("BEGIN IMMEDIATE");
    s.cluster.execute("INSERT INTO t VALUES(1, 'x')");
    CHECK(s.becomes(s.front, kTakenOut));
    CHECK_THAT(s.ask(s.port), Catch::StartsWith("503 source \"stream\" is "));
    other.exec("ROLLBACK");
  }
  SECTION("its stream is not written") {
    s.streamer->signal(SIGTERM);
    CHECK(s.streamer->wait() == Exit{0, 0});
    CHECK(s.becomes(s.port, "503 source \"stream\" is not written"));
    CHECK(s.becomes(s.front, kTakenOut));
    s.start_stream();
  }
  CHECK(s.becomes(s.front, "200 fresh"));
  s.runner->signal(SIGTERM);
  CHECK(s.runner->wait() == Exit{0, 0});
  CHECK(s.ask(s.port) == "000 ");
}

TEST_CASE("healthz: a mirror that follows a server tells what is wrong there, and that it is over",
          "[mirror][healthz][integration]") {
  Balanced s;
  s.start_server();
  // What is 25 s old is told by its age.
  s.start_run_from("http://127.0.0.1:" + std::to_string(s.served) + "/stream", {"--max-lag", "1h"});
  REQUIRE(s.becomes(s.port, "200 fresh"));
  // A server knows a mirror once it has committed something.
  s.cluster.execute("INSERT INTO t VALUES(1, 'x')");
  REQUIRE(eventually([&] {
    const Result said =
        run({"curl", "-s", "http://127.0.0.1:" + std::to_string(s.served) + "/status"});
    return said.out.find("mirror.db") != std::string::npos;
  }));
  const auto began = std::chrono::steady_clock::now();
  std::string why;
  SECTION("the server is gone") {
    s.server->signal(SIGKILL);
    s.server->wait();
    why = "the server ended the connection";
  }
  SECTION("the server hangs") {
    s.server->signal(SIGSTOP);
    why = "the server has been silent for 10 s";
  }
  SECTION("the stream there is not written") {
    s.streamer->signal(SIGTERM);
    CHECK(s.streamer->wait() == Exit{0, 0});
    why = "the stream is not written there: deltastream is stopped";
  }
  CHECK(s.becomes(s.port, "503 source \"stream\" is waiting"));
  const Result told = s.status();
  CHECK(told.exit == Exit{1, 0});
  CHECK_THAT(told.out, Catch::StartsWith("TROUBLE: source \"stream\" is waiting since ") &&
                           Catch::Contains(why));
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(20));

  if (!s.server->running()) s.start_server();
  if (!s.streamer->running()) s.start_stream();
  s.server->signal(SIGCONT);
  CHECK(s.becomes(s.port, "200 fresh"));
  CHECK(eventually([&] { return s.status().ok(); }));
  s.runner->signal(SIGTERM);
  CHECK(s.runner->wait() == Exit{0, 0});
}

TEST_CASE("healthz: a lock that somebody else holds is told before anything is old",
          "[mirror][healthz][integration]") {
  Balanced s;
  s.start_run({"--max-lag", "1h"});
  REQUIRE(s.becomes(s.port, "200 fresh"));
  deltamirror::Database other(s.mirror(), deltamirror::Database::Mode::ReadWrite);
  other.exec("BEGIN IMMEDIATE");
  const auto began = std::chrono::steady_clock::now();
  s.cluster.execute("INSERT INTO t VALUES(1, 'x')");
  CHECK(s.becomes(s.port, "503 source \"stream\" is waiting"));
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(8));
  other.exec("ROLLBACK");
  CHECK(s.becomes(s.port, "200 fresh"));
}

TEST_CASE("healthz: who holds connections open is in nobody's way",
          "[mirror][healthz][integration]") {
  Balanced s;
  s.start_run({});
  REQUIRE(s.becomes(s.port, "200 fresh"));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(s.port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::vector<daystream::UniqueFd> held;
  for (int i = 0; i < 100; ++i) {
    held.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(connect(held.back().get(), reinterpret_cast<const sockaddr*>(&address),
                    sizeof address) == 0);
  }
  CHECK(s.ask(s.port) == "200 fresh\n");
  CHECK(s.ask(s.port, "/healthz?by=proxy") == "200 fresh\n");
  CHECK(s.ask(s.port, "/healthz", {"--head"}).starts_with("200 HTTP/1.1 200 OK\r\n"));
  CHECK(s.ask(s.port, "/metrics").starts_with("404 "));
  CHECK(s.ask(s.port, "/healthz", {"-X", "POST"}).starts_with("405 "));
  CHECK(s.ask(s.port, "/healthz", {"-H", "X: " + std::string(8000, 'x')}).starts_with("431 "));
  const Result second = run({program("deltamirror"), "run", s.mirror(), "--healthz",
                             "127.0.0.1:" + std::to_string(s.port)});
  CHECK_FALSE(second.ok());
  s.runner->signal(SIGTERM);
  CHECK(s.runner->wait() == Exit{0, 0});
}
