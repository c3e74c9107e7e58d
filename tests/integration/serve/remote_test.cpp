// Everything that takes a STREAM takes an URL: the same answers as from the directory.
#include <catch2/catch.hpp>
#include <csignal>

#include "remote/http_stream.h"
#include "server_process.h"
#include "stream_fixture.h"
#include "support/catch2_positions.h"

using namespace daystream;
using namespace daystream::test;
using namespace serve_test;
using support::eventually;

namespace {

void fill(WrittenStream& stream, Writer& writer) {
  writer.mark(Lsn{0x1000}, {1, 1, {}});
  for (int i = 1; i <= 30; ++i) {
    stream.now += i % 11 == 0 ? 86400 : 1;
    writer.append(transaction(i, i % 4));
  }
  writer.flush();
}

support::Result daystream_command(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), support::program("daystream"));
  return support::run(arguments);
}

}  // namespace

TEST_CASE("remote: every command says of an URL what it says of the directory", "[remote]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  fill(stream, writer);
  ServerProcess server({stream.directory.path()});
  const std::vector<std::vector<std::string>> commands = {
      {"cat"},
      {"cat", "--after", "1507550403/1"},
      {"cat", "--since", "2017-10-10"},
      {"cat", "--lsn", "0/1050"},
      {"cat", "--format=sql"},
      {"cat", "--since", "2017-10-10", "--where", "a=fox20", "--format=sql"},
      {"cat", "--since", "0/1050", "--until", "0/1070", "--json"},
      {"tail", "-n", "3"},
      {"tail", "-n", "1000"},
      {"log", "--table", "fox", "--key", "a=fox7"},
      {"info"},
      {"info", "--json"},
      {"info", "--tables"},
  };
  for (std::vector<std::string> command : commands) {
    CAPTURE(command);
    command.insert(command.begin() + 1, stream.directory.path());
    const auto local = daystream_command(command);
    command[1] = server.url();
    const auto remote = daystream_command(command);
    CHECK(remote.out == local.out);
    CHECK(remote.exit == local.exit);
    CHECK(remote.out.size() > 10);
  }
  support::ScratchDir parts;
  const auto split = [&](const std::string& source, const std::string& name) {
    const std::string into = (parts.path() / name).string();
    CHECK(daystream_command({"split", source, into, "--once"}).exit.code == 0);
    return daystream_command({"cat", into + "/fox"}).out;
  };
  const std::string local = split(stream.directory.path(), "local");
  CHECK(split(server.url(), "remote") == local);
  CHECK(local.size() > 1000);
  CHECK(daystream_command({"verify", server.url()}).exit.code == 2);
}

TEST_CASE("remote: a stream answers over HTTP what its directory answers", "[remote][stream]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  ServerProcess server({stream.directory.path()});
  const Stream near(stream.directory.path());
  const Stream far = remote::http_stream({}, server.url());
  CHECK_FALSE(near.extent());
  CHECK_FALSE(far.extent());
  CHECK_FALSE(far.find_seam(6));
  CHECK_FALSE(far.timeline());
  CHECK_FALSE(far.info().last);
  fill(stream, writer);
  CHECK(far.manifest().id == near.manifest().id);
  CHECK(far.extent()->first == near.extent()->first);
  CHECK(far.extent()->last == near.extent()->last);
  CHECK(far.extent()->last_lsn == near.extent()->last_lsn);
  CHECK(far.find_seam(6)->position == near.find_seam(6)->position);
  CHECK_FALSE(far.find_seam(0));
  CHECK(far.before_last(3) == near.before_last(3));
  CHECK_FALSE(far.before_last(1000));
  CHECK(near.timeline() == 1U);
  CHECK(far.timeline() == 1U);
  writer.mark(Lsn{0x2000000}, {7, 100, {}});
  writer.append(transaction(31, 1));
  writer.mark(Lsn{0x3000000}, {{}, 101, {}});  // of who does not know
  writer.flush();
  CHECK(near.timeline() == 7U);
  CHECK(far.timeline() == 7U);
  CHECK(far.info().whole->writer == near.info().whole->writer);
  CHECK(near.directory() == stream.directory.path());
  CHECK_FALSE(far.directory());
  CHECK(far.absolute_address() == server.url());
}

TEST_CASE("remote: a transaction larger than any buffer is gone through twice", "[remote][big]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  fill(stream, writer);
  const std::string value(50000, 'v');
  std::string lines;
  for (int n = 0; n < 400; ++n) lines += row(100, n) + value + "\n";
  writer.append(lines + commit(100));
  writer.append(transaction(101));
  writer.flush();
  ServerProcess server({stream.directory.path()});
  Reader local = stream.reader();
  Reader remote(remote::http_stream({}, server.url()), {});
  while (Transaction* expected = local.next()) {
    Transaction* got = remote.next();
    REQUIRE(got != nullptr);
    CHECK(got->position() == expected->position());
    const std::string text = text_of(*expected);
    CHECK(text_of(*got) == text);
    got->rewind();
    CHECK(text_of(*got) == text);
  }
  CHECK(remote.next() == nullptr);
}

TEST_CASE("remote: a follower survives its server, and gets every line once", "[remote][kill]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  fill(stream, writer);
  std::optional<ServerProcess> server;
  server.emplace(std::vector<std::string>{stream.directory.path()});
  const int port = server->port();
  Process follower({support::program("daystream"), "cat", server->url(), "--follow"});
  int number = 30;
  REQUIRE(
      eventually([&] { return follower.out().find(lsn_of(number).text()) != std::string::npos; }));
  for (int round = 0; round < 6; ++round) {
    for (int i = 0; i < 20; ++i) {
      stream.now += 1;
      ++number;
      writer.append(transaction(number, number % 5));
      writer.flush();
      if (i == 7 * (round % 3)) {
        server->process().signal(SIGKILL);
        server->process().wait();
      }
    }
    server.emplace(std::vector<std::string>{stream.directory.path()}, std::vector<std::string>{},
                   port);
    const std::string last = lsn_of(number).text();
    REQUIRE(eventually([&] { return follower.out().find(last) != std::string::npos; }));
  }
  CHECK(follower.out() == slurp_days(stream.directory.path()));
  follower.signal(SIGTERM);
  CHECK(follower.wait() == support::Exit{0, 0});
}

TEST_CASE("remote: what cannot be followed says why", "[remote]") {
  WrittenStream stream;
  Writer writer = stream.writer();
  fill(stream, writer);
  ServerProcess server({stream.directory.path()});
  CHECK(daystream_command({"cat", server.url("/other")}).exit.code == 3);
  CHECK(daystream_command({"cat", server.url("")}).exit.code == 2);
  CHECK(daystream_command({"cat", "http://user:secret@127.0.0.1/test"}).exit.code == 2);
  std::filesystem::remove(stream.day_path());
  const auto gone = daystream_command({"cat", server.url(), "--after", "1507550401/0"});
  CHECK(gone.exit.code == 3);
  CHECK(gone.err.find("is no longer") != std::string::npos);
  server.process().signal(SIGKILL);
  server.process().wait();
  const auto away = daystream_command({"cat", server.url()});
  CHECK(away.exit.code == 1);
  CHECK(away.err.find("connect") != std::string::npos);
}
