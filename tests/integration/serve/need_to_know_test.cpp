// What a token that is good for some tables lets one see (PROTOCOL.md, "Need to know"): two streams
// that differ in what it hides, and in nothing else, give the same answers to every request.
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <optional>

#include "server_process.h"
#include "sharing/file_store.h"
#include "stream_fixture.h"
#include "support/scratch_dir.h"
#include "support/wait.h"

using namespace daystream;
using namespace daystream::test;
using namespace serve_test;
using support::run;
using support::run_ok;

namespace {

// Of `secret`, and of what its owner calls things, nothing is to be seen.
struct Hidden {
  std::string table;   // as lines spell it
  std::string listed;  // as lists do
  std::string value;
  std::size_t bytes;  // of filler: how much there is of it
};

std::string line_of(const std::string& table, int xid, const std::string& row) {
  return "_table\t" + table + "\t_xid\t" + std::to_string(xid) + "\t_action\tinsert\t" + row + "\n";
}

// A stream with rows that may be seen and others, a server for it, and a token for `cats`.
class World {
 public:
  explicit World(const Hidden& hidden) {
    Manifest manifest = source();
    const std::string filter = "cats," + hidden.listed;
    const std::vector<std::pair<std::string, std::string>> options = {
        {"exclude-tables",
         "log_of." + hidden.listed.substr(hidden.listed.rfind('.') + 1) + ",*_tmp"},
        {"exclude-columns", hidden.listed + ".salary,cats.weight"},
        {"include-messages", hidden.value}};
    manifest.holdings = {{Position{kNoon, 0}, filter, options}};
    WriterOptions writer_options = stream_.options();
    Writer writer(stream_.directory.path(), manifest, std::nullopt, writer_options);
    MarkFacts facts;
    facts.timeline = 1;
    facts.next = 1;
    facts.holds = {{"tables", filter}};
    for (const auto& option : options) facts.holds.push_back(option);
    writer.mark(Lsn{0x1000}, facts);
    for (int day = 0; day < 2; ++day) {
      for (int i = 1; i <= 40; ++i) {
        const int xid = day * 40 + i;
        std::string lines = line_of(
            hidden.table, xid, "v\t" + hidden.value + "\tf\t" + std::string(hidden.bytes, 'z'));
        if (i % 3 != 0) lines += line_of("cats", xid, "id\t" + std::to_string(xid));
        lines += line_of(hidden.table, xid, "v\t" + hidden.value);
        writer.append(lines + commit(xid));
      }
      writer.flush();
      stream_.now += 86400;
    }
    writer.mark(Lsn{0x9000}, facts);
    writer.flush();
    spill(stream_.directory.path() / "status.json",
          "{\"name\":\"" + hidden.value +
              "\",\"retained_wal_bytes\":" + std::to_string(hidden.bytes) + "}");
    sharing::FileStore::create(stream_.directory.path() / ".groups" / hidden.table,
                               {sharing::By::Key, 3, hidden.table, Position::begin(), ""});
    const auto token = [&](const std::string& name, std::vector<std::string> limits) {
      limits.insert(limits.begin(),
                    {support::program("daystream"), "token", keys_ / "tokens", name});
      std::string made = run_ok(limits);
      made.pop_back();
      return made;
    };
    all_ = token("all", {});
    some_ = token("some", {"--tables", "cats"});
    grants_ = {some_,
               token("pattern", {"--tables", "c*ts"}),
               token("more", {"--tables", "cats,dogs,nowhere.*"}),
               token("of-stream", {"--tables", "cats", "--streams", "test"}),
               token("elsewhere", {"--streams", "another"}),
               token("gone", {"--expires", "2020-01-01"}),
               "",
               "0123456789abcdef"};
    server_.emplace(std::vector<std::string>{stream_.directory.path()},
                    std::vector<std::string>{"--tokens", keys_ / "tokens", "--record-copies"});
  }

  // Headers and body; what the table excepts is left out: when it was, and where we listen.
  std::string ask(const std::string& path, const std::string& token,
                  const std::string& method = "GET", const std::vector<std::string>& more = {}) {
    return ask_all({path}, token, method, more);
  }
  // All answers, one after the other, on one connection.
  std::string ask_all(const std::vector<std::string>& paths, const std::string& token,
                      const std::string& method = "GET",
                      const std::vector<std::string>& more = {}) {
    std::vector<std::string> argv = {"curl",       "-sS", "-i", "--globoff",
                                     "--max-time", "60",  "-X", method};
    if (!token.empty()) argv.insert(argv.end(), {"-H", "Authorization: Bearer " + token});
    argv.insert(argv.end(), more.begin(), more.end());
    for (const std::string& path : paths) argv.push_back(server_->url(path));
    std::string out;
    for (const std::string& line : lines_of_text(run_ok(argv))) {
      const bool excepted = line.starts_with("Date: ") || line.find("\"time\": \"20") == 2 ||
                            line.find("\"since\": \"20") == 2 ||
                            line.find("\"age_seconds\"") != std::string::npos ||
                            line.find("\"created\"") != std::string::npos ||
                            line.starts_with("daystream_serve_start_timestamp_seconds ");
      if (!excepted) out += line + "\n";
    }
    return out;
  }
  const std::string& all() const { return all_; }
  const std::string& some() const { return some_; }
  // Of all sorts that may not see all, and what is no token.
  const std::vector<std::string>& grants() const { return grants_; }
  ServerProcess& server() { return *server_; }
  std::string directory() const { return stream_.directory.path(); }

 private:
  static std::vector<std::string> lines_of_text(const std::string& text) {
    std::vector<std::string> lines;
    std::size_t begin = 0;
    for (auto end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
      lines.push_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
    lines.push_back(text.substr(begin));
    return lines;
  }

  WrittenStream stream_;
  support::ScratchDir keys_;
  std::string all_;
  std::string some_;
  std::vector<std::string> grants_;
  std::optional<ServerProcess> server_;
};

std::vector<std::string> all_requests() {
  std::vector<std::string> paths = {"/",
                                    "/healthz",
                                    "/status",
                                    "/history",
                                    "/metrics",
                                    "/test",
                                    "/test/info",
                                    "/test/manifest",
                                    "/test/extent",
                                    "/test/seam?xmin=20",
                                    "/test/seam?xmin=1000",
                                    "/test/back?commits=3",
                                    "/test/back?commits=10000",
                                    "/test/snapshots",
                                    "/test/snapshot?id=x",
                                    "/nowhere/info",
                                    "/test/nothing",
                                    "/test/stream?follow=0",
                                    "/test/stream?follow=0&tables=cats",
                                    "/test/stream?follow=0&tables=salaries",
                                    "/test/stream?follow=0&tables=*",
                                    "/test/stream?x=1"};
  const std::string noon = std::to_string(kNoon);
  for (int s = 0; s < 14; ++s) {
    const std::string at = noon + "/" + std::to_string(s);
    paths.push_back("/test/stream?follow=0&after=" + at);
    paths.push_back("/test/stream?follow=0&line=" + at);
    paths.push_back("/test/stream?follow=0&line=" + at + "&chain=01020304");
    paths.push_back("/test/stream?follow=0&line=" + at + "&crc=01020304");
    paths.push_back("/test/stream?follow=0&after=" + at + "&lsn=0/1010");
  }
  paths.push_back("/test/stream?follow=0&after=1/1");
  paths.push_back("/test/stream?follow=0&line=1/1&crc=00000000");
  paths.push_back("/test/stream?follow=0&after=9999999999/1&lsn=F/0");
  return paths;
}

}  // namespace

TEST_CASE("need to know: what is hidden from a token changes no byte of any answer",
          "[serve][security]") {
  World one({"salaries", "salaries", "123456", 10});
  World other({"affairs", "affairs", "654321", 3000});
  for (const std::string& path : all_requests()) {
    CAPTURE(path);
    for (const std::vector<std::string>& more :
         {std::vector<std::string>{}, std::vector<std::string>{"-H", "Accept-Encoding: zstd"}}) {
      const std::string answer = one.ask(path, one.some(), "GET", more);
      CHECK(answer == other.ask(path, other.some(), "GET", more));
      for (const char* word : {"salaries", "affairs", "123456", "654321", "log_of", "salary"}) {
        CAPTURE(word);
        if (path.find(word) != std::string::npos) continue;
        CHECK(answer.find(word) == std::string::npos);
      }
      CHECK(answer.find(one.directory()) == std::string::npos);
    }
  }
  for (const char* post :
       {"/test/copies?copy=a&position=1/1&kind=mirror",
        "/test/copies?copy=a&position=1507550400/2&crc=01020304", "/test/stream", "/status"}) {
    CAPTURE(post);
    CHECK(one.ask(post, one.some(), "POST") == other.ask(post, other.some(), "POST"));
  }
  // What its own rows say it does see, and what is left out of them.
  const std::string body = one.ask("/test/stream?follow=0", one.some());
  CHECK(body.find("_table\tcats\t") != std::string::npos);
  CHECK(body.find("exclude-columns\tcats.weight\n") != std::string::npos);
  CHECK(body.find("exclude-tables") == std::string::npos);
  // Who may see all is told of it.
  CHECK(one.ask("/test/stream?follow=0", one.all()) !=
        other.ask("/test/stream?follow=0", other.all()));
  CHECK(one.ask("/status", one.all()).find("123456") != std::string::npos);
}

// Names that begin or end as one that may be seen, that need quotes, that are lines' own words.
TEST_CASE("need to know: neither another grant, nor an odd name, nor another request tells more",
          "[serve][security]") {
  struct Pair {
    Hidden one, other;
  };
  const std::vector<Pair> pairs = {
      {{"cats2", "cats2", "111111", 5}, {"bobcats", "bobcats", "999999", 50}},
      {{"hr.cats", "hr.cats", "111111", 700}, {"\"Cats\"", "\"Cats\"", "999999", 1}},
      {{"\"ka\\tts\"", "\"ka\tts\"", "\\N", 0}, {"\"c*ts!\"", "\"c*ts!\"", "_table\\tcats", 9000}},
      {{"_crc", "_crc", "_c\\t1\\t_s", 3}, {"\"кошки\"", "\"кошки\"", "_action\\tmark", 4}},
  };
  std::vector<std::string> paths = all_requests();
  for (const char* odd : {"/test/stream?follow=0&tables=%22Cats%22",
                          "/test/stream?follow=0&tables=hr.*",
                          "/test/stream?follow=0&tables=ca*",
                          "/test/stream?follow=0&tables=cats,hr.cats",
                          "/test/stream?follow=0&tables=%00",
                          "/test/stream?tables=&follow=0",
                          "/test/../test/info",
                          "//test/info",
                          "/test/",
                          "/TEST/info",
                          "/test%2Finfo",
                          "/test/info?x=%ff",
                          "/test/copies",
                          "/healthz/streams",
                          "/another/info",
                          "/another/stream?follow=0",
                          "/status?x",
                          "/test/day",
                          "/test/2017-10-09.tsv",
                          "/test/daystream.json",
                          "/test/durable",
                          "/test/status.json"}) {
    paths.push_back(odd);
  }
  for (const Pair& pair : pairs) {
    CAPTURE(pair.one.table, pair.other.table);
    World one(pair.one);
    World other(pair.other);
    REQUIRE(one.grants().size() == other.grants().size());
    for (std::size_t i = 0; i < one.grants().size(); ++i) {
      CAPTURE(i);
      const std::string& ours = one.grants()[i];
      const std::string& theirs = other.grants()[i];
      const auto same = [&](const std::vector<std::string>& asked, const std::string& method,
                            const std::vector<std::string>& more = {}) {
        const std::string answers = one.ask_all(asked, ours, method, more);
        for (const std::string& word : {pair.one.value, one.directory()}) {
          CAPTURE(word);
          CHECK(answers.find(word) == std::string::npos);
        }
        if (answers == other.ask_all(asked, theirs, method, more)) return;
        for (const std::string& path : asked) {
          CAPTURE(path, method);
          CHECK(one.ask(path, ours, method, more) == other.ask(path, theirs, method, more));
        }
      };
      same(paths, "GET");
      if (i > 0 && !ours.empty()) continue;  // for the rest one limited token speaks for all
      same(paths, "GET", {"-H", "Accept-Encoding: zstd"});
      same(paths, "POST", {"-H", "Content-Length: 0"});
      const std::vector<std::string> few = {"/", "/status", "/test", "/test/stream?follow=0"};
      for (const char* method : {"PUT", "DELETE", "OPTIONS", "PATCH"}) same(few, method);
      same(few, "HEAD", {"-I"});
      for (const char* header : {"Range: bytes=0-40", "If-None-Match: *", "Expect: 100-continue",
                                 "Daystream-Host: \x1b[31m", "X-Forwarded-For: 127.0.0.1"}) {
        same(few, "GET", {"-H", header});
      }
    }
  }
}

TEST_CASE("need to know: a proof is not told by the refusal, nor taken back by words",
          "[serve][security]") {
  World world({"salaries", "salaries", "123456", 10});
  const std::string at = std::to_string(kNoon) + "/4";
  const std::string prove = "/test/copies?copy=relay&position=" + at + "&crc=";
  const std::string refused = world.ask(prove + "01020304", world.all(), "POST");
  CHECK(refused.find("409") != std::string::npos);
  const std::string day = slurp_days(world.directory());
  const auto line = day.find("_c\t" + std::to_string(kNoon) + "\t_s\t4\t_crc\t");
  REQUIRE(line != std::string::npos);
  const std::string crc = day.substr(day.find("_crc\t", line) + 5, 8);
  CHECK(refused.find(crc) == std::string::npos);
  CHECK(world.ask("/test/stream?follow=0&line=" + at + "&crc=01020304", world.all()).find(crc) ==
        std::string::npos);
  CHECK(world.ask(prove + crc, world.all(), "POST").find("200 OK") != std::string::npos);
  const auto recorded = [&] {
    std::ifstream file(world.directory() + "/copies.json");
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  CHECK(support::eventually([&] { return recorded().find("relay") != std::string::npos; }));
  for (const std::string& token : {world.all(), world.some()}) {
    world.ask("/test/copies?copy=relay&position=1/1", token, "POST");
  }
  // Something else that is proven makes the record be written again.
  world.ask("/test/copies?copy=second&position=" + at + "&crc=" + crc, world.all(), "POST");
  CHECK(support::eventually([&] { return recorded().find("second") != std::string::npos; }));
  CHECK(recorded().find("relay") != std::string::npos);
  struct stat status {};
  REQUIRE(stat((world.directory() + "/copies.json").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777 & ~0640) == 0);
}
