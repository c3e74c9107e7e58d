// What a server that means harm, or is none, can do to our client: nothing but be refused. And what
// the programs that we start get of us.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <functional>

#include "remote/http_client.h"
#include "server_process.h"
#include "stream_fixture.h"
#include "support/false_server.h"
#include "support/scratch_dir.h"
#include "support/wait.h"

using namespace daystream;
using namespace daystream::test;
using namespace serve_test;
using support::eventually;
using support::FalseServer;
using support::run;

namespace {

const std::string kChunk = "10000\r\n" + std::string(0x10000, 'x') + "\r\n";

std::string answer(const std::string& status, const std::string& more_headers,
                   const std::string& body) {
  return "HTTP/1.1 " + status + "\r\n" + more_headers + "\r\n" + body;
}

}  // namespace

TEST_CASE("client: a token is sent to another machine only where nobody reads along",
          "[remote][security]") {
  for (const char* local : {"http://127.0.0.1:1/x", "http://localhost/x", "http://LOCALHOST:80/x",
                            "http://[::1]:8447/x", "http://127.1.2.3/x"}) {
    CAPTURE(local);
    CHECK(remote::Url::is_local(local));
  }
  for (const char* other :
       {"http://127.0.0.1.example.com/x", "http://localhost.example.com/x", "http://127.evil/x",
        "http://[::2]/x", "http://10.0.0.1/x", "http://localhost@evil.example.com/x",
        "http://evil.example.com/127.0.0.1", "http://0x7f.1.example/x"}) {
    CAPTURE(other);
    CHECK_FALSE(remote::Url::is_local(other));
  }
  support::Process::Options environment;
  environment.env = {{"DAYSTREAM_TOKEN", "0123456789abcdef"}};
  // A name that leads nowhere: what is refused is not even looked up.
  const auto refused =
      run({support::program("daystream"), "info", "http://127.0.0.1.example.invalid:8447/test"},
          environment);
  CHECK(refused.exit.code == 3);
  CHECK(refused.err.find("a token is not sent without TLS") != std::string::npos);
  const auto insisted = run({support::program("daystream"), "--token-in-the-clear", "info",
                             "http://127.0.0.1.example.invalid:8447/test"},
                            environment);
  CHECK(insisted.err.find("a token is not sent") == std::string::npos);
  CHECK(insisted.exit.code != 0);
}

TEST_CASE("client: an answer that is to be small is not taken where it is not",
          "[remote][security]") {
  FalseServer server(answer("200 OK", "Transfer-Encoding: chunked\r\n", ""), kChunk);
  const auto result = run({support::program("daystream"), "info", server.url()});
  CHECK(result.exit.code != 0);
  CHECK(result.err.find("larger than 64 MiB") != std::string::npos);
  CHECK(server.sent() < 160U * 1024 * 1024);
}

TEST_CASE("client: a refusal without end is a refusal, and is asked again", "[remote][security]") {
  FalseServer server(answer("503 Service Unavailable", "Transfer-Encoding: chunked\r\n", ""),
                     kChunk);
  support::ScratchDir scratch;
  support::Process pull({support::program("daystream"), "pull", server.url(), scratch / "copy"});
  CHECK(eventually([&] { return server.asked() >= 3; }));
  CHECK(pull.running());
}

TEST_CASE("client: JSON that is not ours is a refusal by its status, and its words steer nothing",
          "[remote][security]") {
  support::ScratchDir scratch;
  SECTION("a number for a code") {
    FalseServer server(answer("503 Service Unavailable", "Connection: close\r\n",
                              "{\"error\": 503, \"message\": [1], \"hint\": {}}"),
                       "");
    support::Process pull({support::program("daystream"), "pull", server.url(), scratch / "copy"});
    CHECK(eventually([&] { return server.asked() >= 3; }));
    CHECK(pull.running());
  }
  SECTION("escapes") {
    FalseServer server(
        answer("404 Not Found", "Connection: close\r\n",
               "{\"error\":\"no\",\"message\":\"\\u001b]0;you\\u0007 \\u009b2J\\nHINT: run me\"}"),
        "");
    const auto result = run({support::program("daystream"), "info", server.url()});
    CHECK(result.exit.code == 3);
    CHECK(result.err.find('\x1b') == std::string::npos);
    CHECK(result.err.find("\xc2\x9b") == std::string::npos);
    CHECK(result.err.find("\nHINT: run me") == std::string::npos);
    CHECK(result.err.find("\\x1b]0;you\\x07") != std::string::npos);
  }
  SECTION("deep") {
    FalseServer server(answer("500 Internal Server Error", "Connection: close\r\n",
                              std::string(30'000, '[') + std::string(30'000, ']')),
                       "");
    CHECK(run({support::program("daystream"), "info", server.url()}).exit.code == 1);
  }
}

TEST_CASE("consume: its command gets nothing of ours but what it is handed",
          "[consume][security]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  writer.mark(Lsn{0x1000}, {1, 1, {}});
  for (int i = 1; i <= 3; ++i) writer.append(transaction(i));
  writer.flush();
  ServerProcess server({stream.directory.path()});
  support::ScratchDir scratch;
  support::Process::Options environment;
  environment.env = {{"DAYSTREAM_TOKEN", "0123456789abcdef"}, {"OTHER", "kept"}};
  const std::string script = "ls -l /proc/$$/fd > '" + std::string(scratch / "fds") + "'; env > '" +
                             std::string(scratch / "env") + "'; cat > /dev/null";
  const auto result = run({support::program("daystream"), "consume", server.url(), "--checkpoint",
                           scratch / "at", "--batch", "--once", "--", "sh", "-c", script},
                          environment);
  REQUIRE(result.ok());
  const std::string fds = slurp(scratch / "fds");
  CAPTURE(fds);
  CHECK(fds.find("socket:") == std::string::npos);
  CHECK(fds.find(".tsv") == std::string::npos);
  CHECK(fds.find("anon_inode") == std::string::npos);
  CHECK(fds.find("at.lock") != std::string::npos);  // so that nobody begins while it works
  const std::string variables = slurp(scratch / "env");
  CHECK(variables.find("DAYSTREAM_TOKEN") == std::string::npos);
  CHECK(variables.find("OTHER=kept") != std::string::npos);
}

TEST_CASE("consume: SIGTERM ends it, whatever its command does", "[consume][security]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  writer.mark(Lsn{0x1000}, {1, 1, {}});
  const int many = GENERATE(1, 300);
  for (int i = 1; i <= many; ++i) {
    writer.append(row(i) + "\tc\t" + std::string(1000, 'x') + "\n" + commit(i));
  }
  writer.flush();
  support::ScratchDir scratch;
  // Neither the end of its input nor SIGTERM moves it; and it reads nothing, so that we may be in
  // the middle of handing over.
  const std::string script =
      "trap '' TERM; touch '" + std::string(scratch / "began") + "'; while :; do sleep 1000; done";
  support::Process consume({support::program("daystream"), "consume", stream.directory.path(),
                            "--checkpoint", scratch / "at", "--stop-timeout", "0", "--window",
                            "1000", "--", "sh", "-c", script});
  REQUIRE(eventually([&] { return access((scratch / "began").c_str(), F_OK) == 0; }));
  consume.signal(SIGTERM);
  CHECK(consume.wait().code == 1);
  CHECK(consume.err().find("not acknowledged") != std::string::npos);
}

TEST_CASE("tokens: a line that was cut short is no token, wherever it was cut",
          "[serve][security]") {
  WrittenStream stream;
  {
    Writer writer = stream.writer();
    writer.mark(Lsn{0x1000}, {1, 1, {}});
    writer.flush();
  }
  support::ScratchDir keys;
  const std::string file = keys / "tokens";
  const auto token = [&](const std::vector<std::string>& more) {
    std::vector<std::string> argv = {support::program("daystream"), "token", file};
    argv.insert(argv.end(), more.begin(), more.end());
    return run(argv);
  };
  REQUIRE(token({"all"}).ok());
  const std::string first = slurp(file);
  REQUIRE(token({"some", "--tables", "cats,dogs", "--expires", "2099-01-01"}).ok());
  const std::string both = slurp(file);
  const auto is_refused = [&](const std::string& text) {
    spill(file, text);
    // What cannot be understood is appended to no more than it is served with.
    const auto added = token({"more"});
    return added.exit.code == 2 && slurp(file) == text;
  };
  for (std::size_t size = first.size() + 1; size + 1 < both.size(); ++size) {
    CAPTURE(both.substr(first.size(), size - first.size()));
    CHECK(is_refused(both.substr(0, size)));
    if (size > first.size() + 2) CHECK(is_refused(both.substr(0, size) + "\n"));
    if (size % 10 != 0) continue;
    spill(file, both.substr(0, size) + "\n");
    const auto served = run({support::program("daystream"), "serve", stream.directory.path(),
                             "--listen", "127.0.0.1:0", "--tokens", file});
    CHECK(served.exit.code == 2);
  }
  // Of certificates people write lines: one without its newline may be half.
  CHECK(is_refused(both + "cert:edge7 seven streams=test"));
  // A whole last line without its newline gets it, and both are good.
  spill(file, both.substr(0, both.size() - 1));
  CHECK(token({"third"}).ok());
  CHECK(slurp(file).substr(0, both.size()) == both);
  // No link is followed to where somebody else can read it.
  REQUIRE(symlink((keys / "elsewhere").c_str(), (keys / "link").c_str()) == 0);
  CHECK_FALSE(run({support::program("daystream"), "token", keys / "link", "x"}).ok());
}

TEST_CASE("tls: whoever a certificate is asked of cannot come by a Unix socket instead",
          "[serve][security]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  writer.mark(Lsn{0x1000}, {1, 1, {}});
  writer.flush();
  support::ScratchDir keys;
  REQUIRE(run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
               "-nodes", "-days", "2", "-subj", "/CN=ours", "-keyout", keys / "ours.key", "-out",
               keys / "ours.pem"})
              .ok());
  chmod((keys / "ours.key").c_str(), 0600);
  const auto result =
      run({support::program("daystream"), "serve", stream.directory.path(), "--tls-cert",
           keys / "ours.pem", "--tls-key", keys / "ours.key", "--client-ca", keys / "ours.pem",
           "--listen", "unix:" + std::string(keys / "socket")});
  CHECK(result.exit.code == 2);
  CHECK(result.err.find("shows no certificate") != std::string::npos);
}

TEST_CASE("client: http:// to a port of TLS and https:// to a plain one are told in our words",
          "[remote]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  writer.mark(Lsn{0x1000}, {1, 1, {}});
  writer.flush();
  support::ScratchDir keys;
  REQUIRE(
      run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
           "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
           "subjectAltName=DNS:localhost", "-keyout", keys / "ours.key", "-out", keys / "ours.pem"})
          .ok());
  chmod((keys / "ours.key").c_str(), 0600);
  const ServerProcess secure({stream.directory.path()},
                             {"--tls-cert", keys / "ours.pem", "--tls-key", keys / "ours.key"});
  const ServerProcess plain({stream.directory.path()});
  const auto tail = [&](const std::string& url) {
    return run({support::program("daystream"), "tail", url, "--ca", keys / "ours.pem"});
  };
  const auto in_the_clear = tail(fmt::format("http://127.0.0.1:{}/test", secure.port()));
  CHECK(in_the_clear.exit.code == 3);
  CHECK_THAT(in_the_clear.err, Catch::Contains(": this port speaks TLS\nHINT: write https://"));
  const auto in_tls = tail(fmt::format("https://localhost:{}/test", plain.port()));
  CHECK(in_tls.exit.code == 3);
  CHECK_THAT(in_tls.err, Catch::Contains(": this port does not speak TLS\nHINT: write http://"));
  // Nobody waits for that, at first.
  const auto pull = run({support::program("daystream"), "pull",
                         fmt::format("http://127.0.0.1:{}/test", secure.port()), keys / "copy"});
  CHECK(pull.exit.code == 3);
  CHECK_THAT(pull.err, Catch::Contains(": this port speaks TLS\nHINT: write https://"));
  CHECK_FALSE(std::filesystem::exists(keys / "copy"));
  const auto nothing = tail(fmt::format("http://127.0.0.1:{}/nothing", plain.port()));
  CHECK(nothing.exit.code == 3);
  CHECK_THAT(nothing.err,
             Catch::Contains("there is no daystream \"nothing\"\nHINT: the last part"));
}

TEST_CASE("daystream: a pipe in the place of a file is refused, and waited for by nobody",
          "[daystream][security]") {
  WrittenStream stream;
  {
    Writer writer = stream.writer();
    writer.mark(Lsn{0x1000}, {1, 1, {}});
    writer.flush();
  }
  for (const char* name : {"durable", "daystream.json", "2017-10-09.tsv"}) {
    CAPTURE(name);
    const std::string path = stream.directory.path() / name;
    const std::string bytes = slurp(path);
    REQUIRE(unlink(path.c_str()) == 0);
    REQUIRE(mkfifo(path.c_str(), 0600) == 0);
    const auto result = run({support::program("daystream"), "verify", stream.directory.path()});
    CHECK(result.exit.code != 0);
    CHECK(result.err.find("it is no regular file") != std::string::npos);
    REQUIRE(unlink(path.c_str()) == 0);
    spill(path, bytes);
  }
}
