// serve, pull and consume --check: what is to be looked at before the first start, and nothing is
// made.
#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "server_process.h"
#include "stream_fixture.h"
#include "support/scratch_dir.h"
#include "support/temp_dir.h"

using namespace daystream;
using namespace daystream::test;
using namespace serve_test;

namespace {

struct Fixture {
  Fixture() {
    Writer writer = stream.writer();
    writer.mark(Lsn{0x1000}, {1, 1, {}});
    for (int i = 1; i < 5; ++i) writer.append(transaction(i));
    writer.flush();
  }
  std::string stream_directory() const { return stream.directory.path().string(); }
  std::string in(const char* name) const { return (work.path() / name).string(); }
  // "code" and what was said.
  std::string check(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), support::program("daystream"));
    const auto result = support::run(arguments);
    return std::to_string(result.exit.code) + "\n" + result.out + result.err;
  }

  WrittenStream stream;
  support::ScratchDir work;
};

using Catch::Contains;
using Catch::StartsWith;

}  // namespace

TEST_CASE("serve --check: address, streams and certificates", "[serve][check]") {
  const Fixture f;
  const ServerProcess other({f.stream_directory()});
  CHECK_THAT(f.check({"serve", f.stream_directory(), "--listen", "127.0.0.1:0", "--check"}),
             StartsWith("0\nok ") && Contains("can serve 1 stream at http://127.0.0.1:"));
  CHECK_THAT(
      f.check({"serve", f.stream_directory(), "--listen", "127.0.0.1:0", "--check", "--json"}),
      StartsWith("0\n"
                 R"({"check":"server","result":"ok","detail":"can serve 1 stream)"));
  CHECK_THAT(f.check({"serve", f.stream_directory(), "--listen",
                      "127.0.0.1:" + std::to_string(other.port()), "--check"}),
             StartsWith("1\nFAILED") && Contains("Address already in use") && Contains("HINT: "));
  CHECK_THAT(f.check({"serve", f.in("nothing"), "--listen", "127.0.0.1:0", "--check"}),
             StartsWith("1\nFAILED") && Contains("No such file") && Contains("HINT: "));
  CHECK_THAT(
      f.check({"serve", f.stream_directory(), "--listen", "127.0.0.1:0", "--tls-cert", f.in("cert"),
               "--tls-key", f.in("key"), "--check"}),
      StartsWith("2\nFAILED") && Contains("could not read certificate") && Contains("HINT: "));
  CHECK_THAT(f.check({"serve", f.stream_directory(), "--listen", "0.0.0.0:0", "--check"}),
             StartsWith("2\nFAILED") && Contains("without TLS") && Contains("HINT: "));
}

TEST_CASE("serve --check: certificate and key that are swapped are said to be", "[serve][check]") {
  const Fixture f;
  support::write_file(f.in("cert"), "-----BEGIN CERTIFICATE-----\n");
  support::write_file(f.in("key"), "-----BEGIN PRIVATE KEY-----\n");
  CHECK_THAT(f.check({"serve", f.stream_directory(), "--listen", "127.0.0.1:0", "--tls-cert",
                      f.in("key"), "--tls-key", f.in("cert"), "--check"}),
             StartsWith("2\nFAILED") && Contains("has a certificate, and no private key") &&
                 Contains("the two are swapped") && !Contains("chmod"));
}

TEST_CASE("pull --check: the server, and the place for the copy", "[pull][check]") {
  const Fixture f;
  const ServerProcess server({f.stream_directory()});
  CHECK_THAT(f.check({"pull", server.url(), f.in("copy"), "--check"}),
             StartsWith("0\n") && Contains("can be made") &&
                 Contains("ok      server     " + server.url() + " has database \"foxes\""));
  CHECK_FALSE(std::filesystem::exists(f.in("copy")));
  CHECK_THAT(
      f.check({"pull", server.url("/nothing"), f.in("copy"), "--check"}),
      StartsWith("3\n") && Contains("there is no daystream \"nothing\"") && Contains("HINT: "));
  REQUIRE(
      support::run({support::program("daystream"), "pull", server.url(), f.in("copy"), "--once"})
          .ok());
  CHECK_THAT(f.check({"pull", server.url(), f.in("copy"), "--check"}),
             StartsWith("0\n") && Contains("can be written to") && Contains("is a copy of it"));
  // Of another stream.
  WrittenStream other;
  Manifest manifest = source();
  manifest.system_identifier = "7000000000000000002";
  {
    Writer writer(other.directory.path(), manifest, std::nullopt, other.options());
    writer.mark(Lsn{1}, {1, 1, {}});
    writer.flush();
  }
  CHECK_THAT(f.check({"pull", server.url(), other.directory.path().string(), "--check"}),
             StartsWith("3\n") && Contains("FAILED  copy") && Contains("HINT: "));
  support::write_file(f.in("file"), "");
  CHECK_THAT(f.check({"pull", server.url(), f.in("file"), "--check"}),
             StartsWith("3\n") && Contains("is no directory"));
  // Somebody else's, which the pull refuses with the same words.
  std::filesystem::create_directory(f.in("foreign"));
  support::write_file(f.in("foreign/PG_VERSION"), "17\n");
  for (const char* how : {"--check", "--once"}) {
    CHECK_THAT(f.check({"pull", server.url(), f.in("foreign"), how}),
               StartsWith("3\n") &&
                   Contains("is no daystream, and not empty: it holds "
                            "\"PG_VERSION\"") &&
                   Contains("HINT: "));
  }
  CHECK_FALSE(std::filesystem::exists(f.in("foreign/lock")));
}

TEST_CASE("pull: a token for some tables makes no copy, and no directory", "[pull][check]") {
  const Fixture f;
  support::write_file(f.in("token"),
                      support::run_ok({support::program("daystream"), "token", f.in("tokens"),
                                       "edge", "--tables", "foxes"}));
  const ServerProcess server({f.stream_directory()}, {"--tokens", f.in("tokens")});
  for (const char* how : {"--check", "--once"}) {
    CHECK_THAT(f.check({"--token-file", f.in("token"), "pull", server.url(), f.in("copy"), how}),
               StartsWith("3\n") && Contains("the server sends us only tables \"foxes\"") &&
                   Contains("HINT: "));
    CHECK_FALSE(std::filesystem::exists(f.in("copy")));
  }
}

TEST_CASE("consume --check: stream, checkpoint and command", "[consume][check]") {
  const Fixture f;
  const ServerProcess server({f.stream_directory()});
  for (const std::string& source : {f.stream_directory(), server.url()}) {
    CHECK_THAT(f.check({"consume", source, "--checkpoint", f.in("at"), "--check", "--", "cat"}),
               StartsWith("0\n") && Contains("is of database \"foxes\"") && Contains("/cat\n"));
  }
  CHECK_FALSE(std::filesystem::exists(f.in("at")));
  CHECK_THAT(f.check({"consume", f.stream_directory(), "--checkpoint", f.in("at"), "--check", "--",
                      "no-such-program"}),
             StartsWith("2\n") && Contains("cannot find program \"no-such-program\"") &&
                 Contains("HINT: "));
  CHECK_THAT(
      f.check({"consume", f.in("nothing"), "--checkpoint", f.in("at"), "--check", "--", "cat"}),
      StartsWith("1\n") && Contains("FAILED  daystream") && Contains("HINT: "));
  support::write_file(f.in("bad"), "garbage\n");
  CHECK_THAT(f.check({"consume", f.stream_directory(), "--checkpoint", f.in("bad"), "--check", "--",
                      "cat"}),
             StartsWith("3\n") && Contains("is not a checkpoint") && Contains("HINT: "));
  REQUIRE(support::run({support::program("daystream"), "consume", f.stream_directory(),
                        "--checkpoint", f.in("at"), "--batch", "--once", "--", "cat"})
              .ok());
  CHECK_THAT(f.check({"consume", f.stream_directory(), "--checkpoint", f.in("at"), "--check", "--",
                      "cat"}),
             StartsWith("0\n") && Contains("goes on after "));
}
