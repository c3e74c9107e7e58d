// Who may read what, and what strangers can do: tokens, certificates, limits.
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <csignal>

#include "server_process.h"
#include "stream_fixture.h"
#include "support/scratch_dir.h"

using namespace daystream;
using namespace daystream::test;
using namespace serve_test;
using support::eventually;
using support::run;
using support::run_ok;

namespace {

struct Served : WrittenStream {
  Served() : writer_(writer()) {
    writer_.mark(Lsn{0x1000}, {1, 1, {}});
    for (int i = 1; i <= 5; ++i) writer_.append(transaction(i, 2));
    writer_.flush();
  }
  std::string path(const std::string& name) const { return keys / name; }
  std::string token(const std::string& name, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> argv = {support::program("daystream"), "token", path("tokens"), name};
    argv.insert(argv.end(), more.begin(), more.end());
    std::string token = run_ok(argv);
    token.pop_back();
    return token;
  }
  std::string status_with(const std::string& url, const std::string& token) const {
    return run({"curl", "-sS", "-k", "-o", "/dev/null", "-w", "%{http_code}", "-H",
                "Authorization: Bearer " + token, url})
        .out;
  }
  void make_authority(const std::string& ca) const {
    run_ok({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", "/CN=" + ca, "-keyout", path(ca + ".key"), "-out",
            path(ca + ".pem")});
    spill(path(ca + ".index"), "");
    spill(path(ca + ".cnf"),
          "[ca]\ndefault_ca = ours\n[ours]\ndatabase = " + path(ca + ".index") +
              "\nnew_certs_dir = " + keys.path().string() +
              "\nunique_subject = no\nrand_serial = yes\ndefault_md = sha256\npolicy = any\n"
              "copy_extensions = copy\n[any]\ncommonName = supplied\n");
  }
  // A key pair `name` for `common_name`, vouched for by the authority `ca`. Its dates are given,
  // and no clock is shifted: libfaketime's wrapper leaves memory behind under its process id, which
  // the next process of that number takes for its own.
  void make_pair(const std::string& ca, const std::string& name, const std::string& common_name,
                 const std::string& alternative, bool expired = false) const {
    run_ok({"openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", "/CN=" + common_name, "-addext", "subjectAltName=" + alternative, "-keyout",
            path(name + ".key"), "-out", path(name + ".csr")});
    std::vector<std::string> sign = {"openssl", "ca", "-batch", "-notext"};
    sign.insert(sign.end(), {"-config", path(ca + ".cnf"), "-cert", path(ca + ".pem")});
    sign.insert(sign.end(), {"-keyfile", path(ca + ".key"), "-in", path(name + ".csr")});
    sign.insert(sign.end(), {"-out", path(name + ".pem")});
    if (expired) {
      sign.insert(sign.end(), {"-startdate", "20200101000000Z", "-enddate", "20200102000000Z"});
    } else {
      sign.insert(sign.end(), {"-days", "1"});
    }
    run_ok(sign);
    chmod(path(name + ".key").c_str(), 0600);
  }
  std::vector<std::string> tls(const std::string& name) const {
    return {"--tls-cert", path(name + ".pem"), "--tls-key", path(name + ".key")};
  }

  support::ScratchDir keys;
  Writer writer_;
};

support::Result cat(const std::string& url, std::vector<std::string> more = {}) {
  more.insert(more.begin(), {support::program("daystream"), "cat", url});
  return run(more);
}

}  // namespace

TEST_CASE("tokens: only who has one that is in force reads, and only their streams",
          "[serve][security]") {
  Served served;
  const std::string all = served.token("all");
  const std::string other = served.token("other", {"--streams", "elsewhere"});
  const std::string late = served.token("late", {"--expires", "2020-01-01"});
  struct stat status {};
  REQUIRE(stat(served.path("tokens").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  CHECK(slurp(served.path("tokens")).find(all) == std::string::npos);

  ServerProcess server({served.directory.path()}, {"--tokens", served.path("tokens")});
  const std::string url = server.url("/test/stream?follow=0");
  CHECK(served.status_with(url, all) == "200");
  CHECK(served.status_with(url, all + "x") == "401");
  CHECK(served.status_with(url, "") == "401");
  CHECK(served.status_with(url, other) == "404");
  CHECK(served.status_with(url, late) == "401");
  for (const char* path : {"/test/info", "/test/manifest", "/test/seam?xmin=1", "/status",
                           "/metrics", "/test/back?commits=1"}) {
    CAPTURE(path);
    CHECK(outcome_of(server.url(path)) == "401 unauthorized");
  }
  CHECK(outcome_of(server.url("/test/copies?copy=a&position=1/1"), "POST") == "401 unauthorized");
  CHECK(outcome_of(server.url("/healthz")) == "200");
  // Our own clients: the token from a file, or from the environment.
  spill(served.path("mine"), all + "\n");
  CHECK(cat(server.url(), {"--token-file", served.path("mine")}).ok());
  Process::Options environment;
  environment.env = {{"DAYSTREAM_TOKEN", all}};
  CHECK(run({support::program("daystream"), "cat", server.url()}, environment).ok());
  const auto stranger = cat(server.url());
  CHECK(stranger.exit.code == 3);
  CHECK(stranger.err.find("HINT: ") != std::string::npos);

  SECTION("a token that was replaced is no longer good after SIGHUP") {
    const std::string next = served.token("next");
    std::string lines = slurp(served.path("tokens"));
    lines.erase(0, lines.find('\n') + 1);
    spill(served.path("tokens"), lines);
    CHECK(served.status_with(url, all) == "200");
    server.process().signal(SIGHUP);
    CHECK(eventually([&] { return served.status_with(url, next) == "200"; }));
    CHECK(served.status_with(url, all) == "401");
  }
  SECTION("a bad file leaves the old in force") {
    spill(served.path("tokens"), "sha256:short me\n");
    server.process().signal(SIGHUP);
    CHECK(eventually([&] {
      return server.process().err().find("kept the tokens that were in force") != std::string::npos;
    }));
    CHECK(served.status_with(url, all) == "200");
  }
  CHECK(server.process().err().find(all) == std::string::npos);
  CHECK(server.process().err().find("refused 127.0.0.1: ") != std::string::npos);
}

TEST_CASE("tokens: a file that others may read is refused", "[serve][security]") {
  Served served;
  served.token("all");
  chmod(served.path("tokens").c_str(), 0640);
  const auto result = run({support::program("daystream"), "serve", served.directory.path(),
                           "--listen", "127.0.0.1:0", "--tokens", served.path("tokens")});
  CHECK(result.exit.code == 2);
  CHECK(result.err.find("may be read or written by others than its owner") != std::string::npos);
}

TEST_CASE("tls: a server is believed only with a certificate for its name", "[serve][security]") {
  Served served;
  served.make_authority("ours");
  served.make_authority("theirs");
  served.make_pair("ours", "good", "server", "IP:127.0.0.1");
  served.make_pair("ours", "named", "server", "DNS:elsewhere.example.com");
  served.make_pair("ours", "old", "server", "IP:127.0.0.1", true);
  const std::vector<std::string> ours = {"--ca", served.path("ours.pem")};

  SECTION("good") {
    ServerProcess server({served.directory.path()}, served.tls("good"));
    CHECK(cat(server.https_url(), ours).out == slurp_days(served.directory.path()));
    CHECK(cat(server.https_url(), {"--ca", served.path("theirs.pem")}).exit.code == 3);
    CHECK(cat(server.https_url()).exit.code == 3);
    const auto plain = cat(server.url());
    CHECK_FALSE(plain.ok());
    CHECK(plain.err.find("write https://") != std::string::npos);
    CHECK(run({"curl", "-sS", "--tls-max", "1.1", "-k", server.https_url("/healthz")}).exit.code !=
          0);
  }
  SECTION("of another host") {
    ServerProcess server({served.directory.path()}, served.tls("named"));
    CHECK(cat(server.https_url(), ours).exit.code == 3);
  }
  SECTION("expired") {
    ServerProcess server({served.directory.path()}, served.tls("old"));
    CHECK(cat(server.https_url(), ours).exit.code == 3);
  }
  SECTION("replaced while it runs") {
    ServerProcess server({served.directory.path()}, served.tls("old"));
    for (const char* end : {".pem", ".key"}) {
      spill(served.path(std::string("old") + end), slurp(served.path(std::string("good") + end)));
    }
    server.process().signal(SIGHUP);
    CHECK(eventually([&] { return cat(server.https_url(), ours).ok(); }));
  }
}

TEST_CASE("tls: clients by certificate, mapped to streams", "[serve][security]") {
  Served served;
  served.make_authority("ours");
  served.make_authority("theirs");
  served.make_pair("ours", "server", "server", "IP:127.0.0.1");
  served.make_pair("ours", "edge7", "edge7", "DNS:edge7");
  served.make_pair("ours", "edge8", "edge8", "DNS:edge8");
  served.make_pair("theirs", "stranger", "edge7", "DNS:edge7");
  std::vector<std::string> options = served.tls("server");
  options.insert(options.end(), {"--client-ca", served.path("ours.pem")});
  const auto as = [&](const std::string& name) -> std::vector<std::string> {
    return {"--ca",  served.path("ours.pem"),   "--cert", served.path(name + ".pem"),
            "--key", served.path(name + ".key")};
  };
  SECTION("whoever the authority vouches for") {
    ServerProcess server({served.directory.path()}, options);
    CHECK(cat(server.https_url(), as("edge7")).ok());
    CHECK(cat(server.https_url(), as("edge8")).ok());
    CHECK_FALSE(cat(server.https_url(), as("stranger")).ok());
    CHECK_FALSE(cat(server.https_url(), {"--ca", served.path("ours.pem")}).ok());
    CHECK_FALSE(run({"curl", "-sS", "http" + server.https_url().substr(5)}).ok());
    CHECK(eventually([&] {
      return server.process().err().find("127.0.0.1: no TLS: it spoke http://") !=
             std::string::npos;
    }));
    CHECK_THAT(server.process().err(),
               Catch::Contains("127.0.0.1: no TLS: its certificate is not good here: ") &&
                   Catch::Contains("127.0.0.1: no TLS: it showed no certificate"));
  }
  SECTION("those that are named") {
    spill(served.path("tokens"), "cert:edge7 seven streams=test\ncert:edge8 eight streams=other\n");
    chmod(served.path("tokens").c_str(), 0600);
    options.insert(options.end(), {"--tokens", served.path("tokens")});
    // Both are there, so every address may be listened on.
    options.insert(options.end(), {"--listen", "0.0.0.0:0"});
    ServerProcess server({served.directory.path()}, options);
    CHECK(cat(server.https_url(), as("edge7")).ok());
    CHECK(cat(server.https_url(), as("edge8")).exit.code == 3);
    CHECK_FALSE(cat(server.https_url(), as("stranger")).ok());
    CHECK(cat(server.https_url(), {"--ca", served.path("ours.pem")}).exit.code == 3);
  }
}

TEST_CASE("limits: who does not ask in time, or asks too often, is let go", "[serve][security]") {
  Served served;
  ServerProcess server({served.directory.path()},
                       {"--request-timeout", "1", "--most-per-address", "5"});
  RawConnection silent(server.port());
  RawConnection slow(server.port());
  slow.send("GET /healthz HTTP/1.1\r\nX: ");
  // A byte now and then: each is activity, together they are no request.
  CHECK(eventually([&] {
    slow.send("y");
    return slow.is_closed();
  }));
  CHECK(silent.read_all().empty());

  // Who stays leaves room for who asks and goes.
  const std::string follow = "GET /test/stream HTTP/1.1\r\nHost: x\r\n\r\n";
  std::vector<RawConnection> followers;
  for (int i = 0; i < 4; ++i) {
    followers.emplace_back(server.port()).send(follow);
    REQUIRE(followers.back().read_some(12) == "HTTP/1.1 200");
  }
  RawConnection fifth(server.port());
  fifth.send(follow);
  CHECK(fifth.read_some(12) == "HTTP/1.1 503");
  CHECK(outcome_of(server.url("/healthz")) == "200");
  followers.clear();
  CHECK(eventually([&] {
    RawConnection again(server.port());
    again.send(follow);
    return again.read_some(12) == "HTTP/1.1 200";
  }));
}
