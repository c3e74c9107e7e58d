// Less than the files: some tables only, compressed on the way, from days that are compressed.
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <csignal>

#include "daystream/housekeeping.h"
#include "remote/beats.h"
#include "remote/http_stream.h"
#include "server_process.h"
#include "stream_fixture.h"
#include "support/catch2_positions.h"
#include "support/scratch_dir.h"

using namespace daystream;
using namespace daystream::test;
using namespace serve_test;
using support::eventually;
using support::run;
using support::run_ok;

namespace {

// Two tables over some days: `fox` in each transaction, `owl` in each third.
struct Two : WrittenStream {
  Two() : writer_(writer()) {
    writer_.mark(Lsn{0x1000}, {1, 1, {{"tables", ""}}});
    add(40);
  }
  static std::string owl(int number, int n) {
    return fmt::format("_table\towl\t_xid\t{0}\t_action\tinsert\tid\t{1}\tname\towl {0}", number,
                       n);
  }
  void add(int count, int rows = 3) {
    for (int i = 0; i < count; ++i) {
      now += ++number_ % 11 == 0 ? 86400 : 1;
      std::string lines;
      for (int n = 0; n < rows; ++n) {
        lines += row(number_, n) + "\n";
        if (number_ % 3 == 0) lines += owl(number_, n) + "\n";
      }
      writer_.append(lines + commit(number_));
    }
    writer_.flush();
  }
  Position last() const { return Stream(directory.path()).extent()->last; }
  Writer writer_;
  int number_ = 0;
};

// Without the CRCs, which say other things where lines were left out.
std::string without_crc(std::string text) {
  for (auto at = text.find("\t_crc\t"); at != std::string::npos; at = text.find("\t_crc\t", at)) {
    text.erase(at, 14);
  }
  return text;
}

std::vector<std::string> cat(const std::string& source, std::vector<std::string> more) {
  more.insert(more.begin(), {support::program("daystream"), "cat", source});
  return more;
}

int count(const std::string& text, const std::string& what) {
  int found = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

}  // namespace

TEST_CASE("filter: cat --tables of an URL shows what that of the directory does",
          "[serve][filter]") {
  Two two;
  two.add(1, 20000);  // larger than a Reader's buffer
  two.add(3);
  ServerProcess server({two.directory.path()});
  for (const char* tables : {"owl", "fox", "fox,owl", "none", "*"}) {
    CAPTURE(tables);
    const auto local = run(cat(two.directory.path(), {"--tables", tables}));
    const auto remote = run(cat(server.url(), {"--tables", tables}));
    CHECK(without_crc(remote.out) == without_crc(local.out));
    CHECK(remote.err.empty() == local.err.empty());  // a notice that nothing fits
    CHECK(remote.exit == local.exit);
  }
  const auto local = run(cat(two.directory.path(), {"--tables", "owl", "--where", "id=2"}));
  CHECK(without_crc(run(cat(server.url(), {"--tables", "owl", "--where", "id=2"})).out) ==
        without_crc(local.out));
  // The other table's rows do not travel.
  const std::string body = body_of(server.url() + "/stream?follow=0&tables=owl");
  CHECK(count(body, "_table\towl") > 10);
  CHECK(count(body, "_table\tfox") == 0);
  CHECK(count(body, "_filtered\towl\t_action\tmark") >= 4);
  CHECK(outcome_of(server.url("/test/stream?tables=a,,b")) == "400 bad-request");
}

TEST_CASE("filter: while a large transaction is gone through for nothing, the server says so",
          "[serve][filter][beats]") {
  Two two;
  two.add(5);
  const Position before = two.last();
  two.add(1, 80000);  // no owl in it
  const Position first = two.last();
  two.add(1, 80000);
  // Reads take long here: 64 KiB each 20 ms. (-D: the server is our own child.)
  ServerProcess server({two.directory.path()}, {}, 0,
                       {"strace", "-D", "-f", "-o", "/dev/null", "-e", "trace=pread64", "-e",
                        "inject=pread64:delay_enter=20000"});
  const std::string body = body_of(
      fmt::format("{}/stream?follow=0&beat=1&tables=owl&after={}", server.url(), before.text()));
  CAPTURE(body);
  CHECK(body.starts_with("\t\n"));
  CHECK(body.ends_with("_action\tcommit\n\n"));
  // How far it is, is told as soon as there is a commit to tell it with.
  CHECK(body.find(fmt::format("_c\t{}\t_s\t{}\t_crc", first.c, first.s)) != std::string::npos);
  std::string lines;
  remote::Beats beats;
  beats.strip(body, lines);
  CHECK(beats.at_tail());
  CHECK(count(lines, "\n") == 2);
}

TEST_CASE("filter: a follower of some tables survives its server", "[serve][filter][kill]") {
  Two two;
  std::optional<ServerProcess> server;
  server.emplace(std::vector<std::string>{two.directory.path()});
  const int port = server->port();
  Process follower(cat(server->url(), {"--tables", "owl", "--follow"}));
  REQUIRE(eventually([&] { return !follower.out().empty(); }));
  for (int round = 0; round < 4; ++round) {
    two.add(9, round == 2 ? 3000 : 2);
    server->process().signal(SIGKILL);
    server->process().wait();
    two.add(9);
    server.emplace(std::vector<std::string>{two.directory.path()}, std::vector<std::string>{},
                   port);
    const std::string expected =
        without_crc(run_ok(cat(two.directory.path(), {"--tables", "owl"})));
    const bool got_all =
        eventually([&] { return without_crc(follower.out()).size() >= expected.size(); });
    CAPTURE(round, follower.out().size(), expected.size(), follower.err());
    REQUIRE(got_all);
    CHECK(without_crc(follower.out()) == expected);
  }
  follower.signal(SIGTERM);
  CHECK(follower.wait() == support::Exit{0, 0});
}

TEST_CASE("tokens: one that is limited to tables gets nothing of the others",
          "[serve][filter][security]") {
  Two two;
  support::ScratchDir keys;
  const std::string tokens = keys / "tokens";
  const auto make = [&](const std::string& name, const std::vector<std::string>& more) {
    std::vector<std::string> argv = {support::program("daystream"), "token", tokens, name};
    argv.insert(argv.end(), more.begin(), more.end());
    spill(keys / name, run_ok(argv));
    return std::vector<std::string>{"--token-file", keys / name};
  };
  const auto with = [](std::vector<std::string> argv, const std::vector<std::string>& more) {
    argv.insert(argv.end(), more.begin(), more.end());
    return run(argv);
  };
  const auto owls = make("owls", {"--tables", "owl"});
  const auto all = make("all", {});
  ServerProcess server({two.directory.path()}, {"--tokens", tokens});
  const auto got = with(cat(server.url(), {}), owls);
  CHECK(got.exit.code == 0);
  CHECK(count(got.out, "_table\towl") > 10);
  CHECK(count(got.out, "fox") == 0);
  CHECK(count(with(cat(server.url(), {"--tables", "*"}), owls).out, "fox") == 0);
  CHECK(with(cat(server.url(), {"--tables", "fox"}), owls).exit.code == 3);
  CHECK(count(with(cat(server.url(), {}), all).out, "_table\tfox") > 10);

  // What it is told that the stream holds is what it may read.
  const auto info = [&](const std::vector<std::string>& token) {
    return with({support::program("daystream"), "info", server.url()}, token).out;
  };
  CHECK(info(owls).find("holds     owl (since") != std::string::npos);
  CHECK(info(all).find("holds     all tables (since") != std::string::npos);
  // A relay needs everything.
  const auto pull =
      with({support::program("daystream"), "pull", server.url(), keys / "copy", "--once"}, owls);
  CHECK(pull.exit.code == 3);
  CHECK(pull.err.find("the server sends us only tables \"owl\"") != std::string::npos);
}

TEST_CASE("filter: tables that were taken from a token end the reader that needs them",
          "[serve][filter][security]") {
  Two two;
  support::ScratchDir keys;
  const std::string token = run_ok(
      {support::program("daystream"), "token", keys / "tokens", "owls", "--tables", "owl,fox"});
  spill(keys / "mine", token);
  std::optional<ServerProcess> server;
  server.emplace(std::vector<std::string>{two.directory.path()},
                 std::vector<std::string>{"--tokens", keys / "tokens"});
  const int port = server->port();
  Process follower(cat(server->url(), {"--follow", "--token-file", keys / "mine"}));
  REQUIRE(eventually([&] { return !follower.out().empty(); }));
  std::string lines = slurp(keys / "tokens");
  lines.replace(lines.find("tables=owl,fox"), 14, "tables=owl");
  spill(keys / "tokens", lines);
  server->process().signal(SIGKILL);
  server->process().wait();
  server.emplace(std::vector<std::string>{two.directory.path()},
                 std::vector<std::string>{"--tokens", keys / "tokens"}, port);
  CHECK(follower.wait().code == 3);
  CHECK(follower.err().find("sends other tables than before") != std::string::npos);
}

TEST_CASE("serve: days that are compressed are sent as their text, or as they are",
          "[serve][zstd]") {
  Two two;
  two.add(1, 20000);  // some frames
  two.add(20);
  const std::string all = slurp_days(two.directory.path());
  HousekeepingRules rules;
  rules.compress = 3;
  Housekeeping housekeeping(two.directory.path(), rules);
  int packed = 0;
  while (housekeeping.step(std::nullopt, [] { return false; })) ++packed;
  REQUIRE(packed >= 2);
  ServerProcess server({two.directory.path()});
  CHECK(body_of(server.url() + "/stream?follow=0") == all);
  const auto local = run(cat(two.directory.path(), {"--after", "1507550405/3"}));
  CHECK(run(cat(server.url(), {"--after", "1507550405/3"})).out == local.out);
  CHECK_FALSE(local.out.empty());
  support::ScratchDir place;
  REQUIRE(
      run({support::program("daystream"), "pull", server.url(), place / "copy", "--once"}).ok());
  CHECK(slurp_days(place / "copy") == all);

  // To who takes zstd, as the very frames on disk; one that is begun inside, as what is left of it.
  const auto zstd = [&](const std::string& query) {
    run_ok({"curl", "-sS", "-o", place / "body", "-H", "Accept-Encoding: zstd",
            server.url() + "/stream?follow=0" + query});
    return slurp(place / "body");
  };
  const std::string whole = zstd("");
  CHECK(run_ok({"zstd", "-dc", place / "body"}) == all);
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(two.directory.path())) {
    if (entry.path().extension() != ".zst") continue;
    const std::string stored = slurp(entry.path());
    found += whole.find(stored.substr(0, stored.rfind("\x5D\x2A\x4D\x18"))) != std::string::npos;
  }
  CHECK(found == packed);
  for (const char* after : {"1507550405/3", "1507636811/2", "1507809637/99", "1507809638/99999"}) {
    const std::string query = std::string("&beat=5&after=") + after;
    CAPTURE(query);
    zstd(query);
    CHECK(run_ok({"zstd", "-dc", place / "body"}) ==
          body_of(server.url() + "/stream?follow=0" + query));
  }
}

TEST_CASE("serve: zstd on the way where it is asked for, each gather at once", "[serve][zstd]") {
  Two two;
  ServerProcess server({two.directory.path()});
  support::ScratchDir place;
  const std::string body = place / "body";
  const auto curl = [&](const std::string& query) {
    return run_ok({"curl", "-sS", "-D", "-", "-o", body, "-H", "Accept-Encoding: gzip, zstd",
                   server.url() + "/stream?follow=0" + query});
  };
  for (const char* query : {"", "&tables=owl"}) {
    CAPTURE(query);
    CHECK(curl(query).find("Content-Encoding: zstd") != std::string::npos);
    const std::string plain = body_of(server.url() + "/stream?follow=0" + query);
    CHECK(run_ok({"zstd", "-dc", body}) == plain);
    CHECK(std::filesystem::file_size(body) < plain.size() / 3);
  }
  // An address that our client does not take for its own machine's: it asks for zstd there.
  const std::string far = fmt::format("http://0.0.0.0:{}/test", server.port());
  Reader remote(remote::http_stream({}, far), {});
  Reader local = two.reader();
  for (int round = 0; round < 3; ++round) {
    while (Transaction* expected = local.next()) {
      Transaction* got = nullptr;
      REQUIRE(eventually([&] {
        got = remote.next();
        return got != nullptr || !remote.wait(std::chrono::milliseconds(50));
      }));
      if (got == nullptr) got = remote.next();
      REQUIRE(got != nullptr);
      CHECK(got->position() == expected->position());
      CHECK(text_of(*got) == text_of(*expected));
    }
    two.add(1);
  }
}
