// nginx in front, configured as PROTOCOL.md says.
#include <catch2/catch.hpp>
#include <csignal>
#include <stdexcept>

#include "server_process.h"
#include "stream_fixture.h"
#include "support/free_port.h"
#include "support/scratch_dir.h"

using namespace daystream;
using namespace daystream::test;
using namespace serve_test;
using support::eventually;

namespace {

// The block of PROTOCOL.md, for the server at `port`.
std::string documented_location(int port) {
  const std::string text = slurp(SOURCE_ROOT "/daystream/serve/PROTOCOL.md");
  const std::string before = "<!-- nginx -->\n```\n";
  const auto begin = text.find(before) + before.size();
  std::string block = text.substr(begin, text.find("```", begin) - begin);
  const std::string documented = "127.0.0.1:8447";
  return block.replace(block.find(documented), documented.size(),
                       "127.0.0.1:" + std::to_string(port));
}

}  // namespace

TEST_CASE("nginx: in front of the server it passes everything on at once", "[serve][nginx]") {
  if (!support::run({"sh", "-c", "command -v nginx"}).ok()) {
    WARN("nginx is not installed: nothing was tried with it");
    return;
  }
  WrittenStream stream;
  Writer writer = stream.writer();
  writer.mark(Lsn{0x1000}, {1, 1, {}});
  for (int i = 1; i <= 50; ++i) writer.append(transaction(i, 3));
  writer.flush();
  support::ScratchDir place;
  const std::string token =
      support::run_ok({support::program("daystream"), "token", place / "tokens", "edge"});
  spill(place / "token", token);
  ServerProcess server({stream.directory.path()}, {"--tokens", place / "tokens"});
  support::run_ok({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                   "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=front",
                   "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", place / "key.pem", "-out",
                   place / "cert.pem"});
  const int port = support::free_port();
  const std::string folder = place.path();
  spill(place / "nginx.conf",
        "daemon off; master_process off; pid " + folder +
            "/pid; error_log stderr; worker_processes 1;\n" +

            "events {}\nhttp {\n  access_log off; client_body_temp_path " + folder +
            "/body; proxy_temp_path " + folder + "/proxy; fastcgi_temp_path " + folder +
            "/f; uwsgi_temp_path " + folder + "/u; scgi_temp_path " + folder +
            "/s;\n  server {\n    listen 127.0.0.1:" + std::to_string(port) +
            " ssl; ssl_certificate " + folder + "/cert.pem; ssl_certificate_key " + folder +
            "/key.pem;\n" + documented_location(server.port()) + "  }\n}\n");
  Process nginx({"nginx", "-c", place / "nginx.conf", "-p", folder});
  const std::string url = "https://127.0.0.1:" + std::to_string(port) + "/test";
  const auto with = [&](std::vector<std::string> argv) {
    argv.insert(argv.begin(), support::program("daystream"));
    argv.insert(argv.end(), {"--ca", place / "cert.pem", "--token-file", place / "token"});
    return argv;
  };
  CAPTURE(nginx.err());
  REQUIRE(eventually([&] {
    return support::run(with({"cat", url})).out == slurp_days(stream.directory.path());
  }));
  // What comes is there at once, not when a buffer is full.
  Process follower(with({"cat", url, "--follow"}));
  Process puller(with({"pull", url, place / "copy"}));
  for (int i = 51; i < 60; ++i) {
    writer.append(transaction(i));
    writer.flush();
    REQUIRE(eventually([&] {
      const std::string all = slurp_days(stream.directory.path());
      return follower.out() == all && std::filesystem::exists(place / "copy" / "durable") &&
             slurp_days(place / "copy") == all;
    }));
  }
  // Without the token nginx passes on what the server says.
  CHECK(support::run({support::program("daystream"), "cat", url, "--ca", place / "cert.pem"})
            .exit.code == 3);
  // The relay's reports go through too.
  CHECK(eventually([&] {
    return support::run_ok({"curl", "-sS", "--cacert", place / "cert.pem", "-H",
                            "Authorization: Bearer " + token.substr(0, token.size() - 1),
                            "https://127.0.0.1:" + std::to_string(port) + "/status"})
               .find("\"on_disk\": true") != std::string::npos;
  }));
  nginx.signal(SIGTERM);
  CHECK(nginx.wait() == support::Exit{0, 0});
}
