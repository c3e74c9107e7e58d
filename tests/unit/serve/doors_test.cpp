// The small decisions that keep doors closed: what a limited reader is told of filters, which names
// are this machine's, what may be shown, what JSON is taken, whose turn it is.
#include <event2/event.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <mutex>
#include <string>
#include <vector>

#include "program/harmless.h"
#include "program/json.h"
#include "serve/admission.h"
#include "serve/copies.h"
#include "serve/descriptors.h"
#include "serve/libevent.h"
#include "serve/table_filter.h"
#include "serve/workers.h"
#include "support/catch2_positions.h"

using namespace daystream;
using namespace daystream::serve;
using program::harmless;
using program::Keep;

TEST_CASE("table filter: of filters a reader is told what may be about its tables",
          "[serve][filter]") {
  const auto told = [](const char* option, const char* value, const char* granted) {
    return told_option(option, value, granted).value_or("-");
  };
  CHECK(told("exclude-tables", "a,b", "") == "a,b");
  CHECK(told("exclude-tables", "secret,b", "b") == "b");
  CHECK(told("exclude-tables", "secret", "b") == "-");
  CHECK(told("exclude-tables", "*_log,s*", "a*,b") == "*_log");
  CHECK(told("exclude-tables", "hr.*", "public.*,ops.x") == "-");
  CHECK(told("exclude-tables", "\"*\",\"A,b\"", "\"A,b\"") == "\"A,b\"");
  CHECK(told("exclude-tables", "a*b", "*c") == "-");
  CHECK(told("exclude-tables", "a*c", "ab*") == "a*c");
  CHECK(told("exclude-tables", "Fox", "fox") == "Fox");
  CHECK(told("exclude-columns", "pay.salary,fox.a,b,zoo.fox.c", "fox") == "fox.a,b");
  CHECK(told("exclude-columns", "hr.pay.salary", "hr.people") == "-");
  CHECK(told("include-messages", "anything", "fox") == "-");
  CHECK(told("actions", "insert", "fox") == "insert");
  CHECK(told("partition-root", "on", "fox") == "on");
  // One that a later deltastream has is there, whatever it says.
  CHECK(told("_table", "secret", "fox").empty());
  CHECK(told("_table", "secret", "") == "secret");
}

TEST_CASE("own name: what the owner of a domain can lead anywhere is none", "[serve][security]") {
  for (const char* own :
       {"localhost", "127.0.0.1", "127.1.2.3", "::1", "dbhost", "", "10.0.0.1", "0.0.0.0", "::2"}) {
    CAPTURE(own);
    CHECK(is_own_name(own));
  }
  for (const char* other : {"example.com", "127.0.0.1.example.com", "127.1", "localhost."}) {
    CAPTURE(other);
    CHECK_FALSE(is_own_name(other));
  }
  CHECK(host_of("localhost:8447") == "localhost");
  CHECK(host_of("//[::1]:8447/") == "::1");
  CHECK(host_of("//example.com/x") == "example.com");
}

TEST_CASE("harmless: nothing steers a terminal, and text stays text", "[program][security]") {
  CHECK(harmless("plain \xc3\xa4\xe2\x82\xac\xf0\x9f\xa6\x8a") ==
        "plain \xc3\xa4\xe2\x82\xac\xf0\x9f\xa6\x8a");
  CHECK(harmless("\x1b[2J\x07\x7f") == "\\x1b[2J\\x07\\x7f");
  CHECK(harmless("\xc2\x9b") == "\\xc2\\x9b");
  CHECK(harmless("a\nb\tc") == "a\\x0ab\\x09c");
  CHECK(harmless("a\nb\tc", Keep::Lines) == "a\nb\tc");
  CHECK(harmless("\x1b[1;32mgreen\x1b[0m\x1b[2J", Keep::Colours) ==
        "\x1b[1;32mgreen\x1b[0m\\x1b[2J");
  CHECK(harmless("\xe2\x80\xae") == "\\xe2\\x80\\xae");
  // Not UTF-8: alone, cut, too long, a surrogate.
  CHECK(harmless("\x80\xc3") == "\\x80\\xc3");
  CHECK(harmless("\xe0\x80\x80") == "\\xe0\\x80\\x80");
  CHECK(harmless("\xed\xa0\x80") == "\\xed\\xa0\\x80");
  CHECK(program::harmless_words("abcdef", 3) == "abc…");
  // What is cut ends between two characters.
  CHECK(program::harmless_words("zü€", 2) == "z…");
  CHECK(program::beginning_of("zü€", 5) == "zü");
  CHECK(program::beginning_of("zü€", 6) == "zü€");
}

TEST_CASE("json: what is deeper than anything of ours is not taken", "[program][security]") {
  CHECK(program::parse_json(R"({"a": [1, {"b": "c"}]})").is_object());
  CHECK(program::parse_json(std::string(30, '[') + std::string(30, ']')).is_array());
  CHECK_FALSE(
      program::parse_json("{\"a\":" + std::string(100000, '[') + std::string(100000, ']') + "}")
          .is_object());
  CHECK_FALSE(program::parse_json("{").is_object());
  CHECK(program::text_of(program::parse_json(R"({"error": 503})"), "error").empty());
  CHECK(program::text_of(program::parse_json("[1]"), "error").empty());
}

TEST_CASE("copies: a proof is replaced by a proof only, and by nobody else", "[serve][copies]") {
  Copies copies;
  const auto tell = [&](const char* grant, const std::string& name, std::int64_t at, bool proven) {
    Copy copy;
    copy.grant = grant;
    copy.name = name;
    copy.position = Position{at, 0};
    copy.told = at;
    copy.proven = proven;
    copies.tell(copy, false);
  };
  tell("a", "relay", 100, true);
  tell("a", "relay", 101, false);
  tell("b", "relay", 102, true);
  CHECK(copies.all().at({"a", "relay"}).position == Position{100, 0});
  CHECK(copies.all().at({"b", "relay"}).position == Position{102, 0});
  for (int i = 0; i < 12000; ++i) tell("c", std::to_string(i), 103, false);
  CHECK(copies.all().size() == Copies::kMost);
  CHECK(copies.all().count({"a", "relay"}) == 1);
  CHECK(copies.record().find("101/0") == std::string::npos);
  tell("a", "relay", 104, true);
  CHECK(copies.all().at({"a", "relay"}).position == Position{104, 0});
  // A day later it is forgotten.
  tell("z", "late", 104 + 86401, true);
  CHECK(copies.all().size() == 1);
}

TEST_CASE("descriptors: connections never take what the rest of the server needs", "[serve]") {
  CHECK(connections_within(1024) == 384);
  CHECK(connections_within(64) == 16);
  CHECK(connections_within(1) == 1);
  CHECK(connections_within(1'000'000) > 400'000);
}

TEST_CASE("workers: who asks for much waits for himself", "[serve]") {
  const Loop loop(event_base_new());
  std::mutex gate;
  gate.lock();
  std::atomic<int> greedy{0};
  std::vector<std::string> finished;
  Workers workers(loop.get());
  for (int i = 0; i < 20; ++i) {
    REQUIRE(workers.run("greedy", [&] {
      ++greedy;
      const std::lock_guard wait(gate);
      return [&] { finished.push_back("greedy"); };
    }));
  }
  REQUIRE(workers.run("modest", [&] { return [&] { finished.push_back("modest"); }; }));
  while (finished.empty()) event_base_loop(loop.get(), EVLOOP_ONCE);
  CHECK(finished.front() == "modest");
  CHECK(greedy <= static_cast<int>(Workers::kMostOfOne));
  gate.unlock();
  while (finished.size() < 21) event_base_loop(loop.get(), EVLOOP_ONCE);
}
