// What the directory of a fleet says of its mirrors (fleet/fleet.h).
#include "fleet/fleet.h"

#include <catch2/catch.hpp>

#include "daystream/error.h"
#include "stream_fixture.h"
#include "support/process.h"
#include "support/scratch_dir.h"

using namespace daystream;
using namespace daystream::fleet;
using daystream::test::slurp;
using daystream::test::spill;
using nlohmann::json;
using Texts = std::vector<std::string>;

namespace {

struct Written {
  Written() {
    put("base.json", R"({"tables": [{"table": "flights"}], "on_trouble": "keep"})");
    put("eu.json", R"({"tables": [{"table": "flights", "where": "region = 'eu'"}]})");
    put("fleet.json", R"(
{"mirrors": [
  // for all
  {"name": "*", "use": ["base.json"]},
  {"name": "edge-*", "labels": {"region": "eu*"}, "use": ["eu.json"], "with": {"on_trouble": null}}
]})");
  }
  void put(const std::string& name, const std::string& text) const { spill(dir / name, text); }
  FleetDirectory fleet() const { return FleetDirectory(dir.path()); }
  std::string file(const std::string& name) const { return (dir / name).string(); }
  support::Result command(Texts arguments) const {
    arguments.insert(arguments.begin(),
                     {support::program("daystream"), "fleet", dir.path().string()});
    return support::run(arguments);
  }
  support::ScratchDir dir;
};

json gets(const FleetContent& content, const std::string& name, const Labels& labels = {}) {
  return content.config_of(name, labels).value_or(json(nullptr));
}

}  // namespace

TEST_CASE("fleet: what a mirror gets is composed of all rules that are about it, in order",
          "[serve][fleet]") {
  const Written written;
  const FleetDraft draft = written.fleet().draft();
  REQUIRE(draft.problems.empty());
  const json base = {{"tables", {{{"table", "flights"}}}}, {"on_trouble", "keep"}};
  CHECK(gets(draft.content, "edge-1") == base);
  CHECK(gets(draft.content, "core", {{"region", "eu"}}) == base);
  CHECK(gets(draft.content, "edge-1", {{"region", "eu-west"}}) ==
        json{{"tables", {{{"table", "flights"}, {"where", "region = 'eu'"}}}}});
  written.put("fleet.json", R"({"mirrors": [{"name": "edge-[12]", "use": ["base.json"]}]})");
  const FleetDraft fewer = written.fleet().draft();
  REQUIRE(fewer.problems.empty());
  CHECK(gets(fewer.content, "edge-2") == base);
  CHECK(gets(fewer.content, "edge-3") == json(nullptr));
}

TEST_CASE("fleet: what is wrong is said with the place where it was written", "[serve][fleet]") {
  const Written written;
  const auto problems = [&](const Texts& names = {}, const Labels& labels = {}) {
    return written.fleet().draft(names, labels).problems;
  };
  SECTION("in a part") {
    written.put("eu.json", "{\n \"tables\": [{\"table\": \"flights\", \"were\": 1}]}");
    CHECK(
        problems() ==
        Texts{written.file("eu.json") +
              ":2:34: /tables/0/were: is not known (as, columns, indexes, keep_days, mode, query, "
              "rename, table, types, where): did you mean \"where\"?"});
  }
  SECTION("in a rule") {
    written.put(
        "fleet.json",
        "{\"mirrors\": [{\"use\": [\"base.json\"],\n  \"with\": {\"on_trouble\": \"cry\"}}]}");
    CHECK(problems() ==
          Texts{written.file("fleet.json") +
                ":2:26: /mirrors/0/with/on_trouble: must be one of hide, keep, stop"});
  }
  SECTION("in what nobody wrote") {
    written.put("fleet.json", "{\"mirrors\": [\n {\"name\": \"a\", \"with\": {}}]}");
    CHECK(problems() ==
          Texts{written.file("fleet.json") +
                ":2:2: /mirrors/0: what \"a\" gets: needs \"tables\", or \"sources\""});
  }
  SECTION("but not that a rule for a label leaves the tables to one for a name") {
    written.put("fleet.json", R"({"mirrors": [
        {"name": "edge-*", "use": ["base.json"]},
        {"labels": {"region": "eu"}, "with": {"on_trouble": "hide"}}]})");
    CHECK(problems().empty());
    CHECK(problems({"core"}, {{"region", "eu"}}) ==
          Texts{written.file("fleet.json") + ":1:13: /mirrors: what \"core\" with region=eu gets: "
                                             "needs \"tables\", or \"sources\""});
  }
  SECTION("in the files themselves") {
    written.put("base.json", "{\"tables\": [}");
    CHECK(problems().front().starts_with(written.file("base.json") + ":1:13: not JSON: "));
    written.put("base.json", R"({"tables": [{"table": "t"}], "tables": []})");
    CHECK(problems() == Texts{written.file("base.json") + ":1:30: /tables: is there twice"});
    written.put("fleet.json", R"({"mirrors": [{"use": ["none.json", "../x.json"]}]})");
    CHECK(problems() ==
          Texts{written.file("fleet.json") +
                    ":1:23: /mirrors/0/use/0: there is no file \"none.json\" beside this one",
                written.file("fleet.json") + ":1:36: /mirrors/0/use/1: \"../x.json\" is no part: "
                                             "name a file beside this one"});
    written.put("fleet.json", R"({"mirrors": [{"name": "a"}], "mirror": 1})");
    CHECK(problems().size() == 2);
  }
  SECTION("of a mirror that is asked about") {
    written.put("fleet.json", R"({"mirrors": [{"name": "edge-*", "use": ["base.json"]}]})");
    CHECK(problems({"core"}, {{"region", "eu"}}) ==
          Texts{written.file("fleet.json") +
                ":1:13: /mirrors: no rule is about \"core\" with region=eu"});
    CHECK(problems({"edge-1"}).empty());
  }
  SECTION("where there is nothing to read") {
    std::filesystem::remove(written.dir / "fleet.json");
    CHECK_THROWS_AS(problems(), ConfigError);
    CHECK_THROWS_AS(FleetDirectory(written.dir / "none"), ConfigError);
  }
}

TEST_CASE("fleet: a revision is made of what has changed, and never changes", "[serve][fleet]") {
  const Written written;
  const FleetDirectory fleet = written.fleet();
  CHECK_FALSE(fleet.newest());
  CHECK(fleet.revisions().empty());
  const auto first = fleet.publish(fleet.draft().content, "ann", "the first");
  REQUIRE(first);
  CHECK(first->number == 1);
  CHECK_FALSE(fleet.publish(fleet.draft().content, "bob", ""));
  const std::string kept = slurp(written.dir / "revisions/1.json");

  written.put("base.json", R"({"tables": [{"table": "aircraft"}]})");
  CHECK(fleet.publish(fleet.draft().content, "bob", "")->number == 2);
  CHECK(slurp(written.dir / "revisions/1.json") == kept);
  CHECK(fleet.revisions() == std::vector<std::uint64_t>{1, 2});
  const Revision read = fleet.revision(1);
  CHECK(read.author == "ann");
  CHECK(read.text == "the first");
  CHECK(read.content == first->content);
  CHECK(read.time == first->time);

  SECTION("one that is damaged is said to be") {
    for (const char* const text :
         {"", "{", "[]", R"({"revision": 3})",
          R"({"revision":3,"author":"a","time":"2026-01-01T00:00:00Z","text":"","fleet":
             {"mirrors":[{"use":["gone.json"]}]},"parts":{}})"}) {
      CAPTURE(text);
      written.put("revisions/3.json", text);
      CHECK_THROWS_AS(fleet.revision(3), NeedsPerson);
      CHECK_THROWS_AS(fleet.publish(read.content, "ann", ""), NeedsPerson);
    }
    CHECK_THROWS_AS(fleet.revision(4), ConfigError);
  }
  SECTION("half of one is none") {
    written.put("revisions/3.json.new", "{");
    CHECK(fleet.newest() == 2);
    CHECK(fleet.publish(read.content, "ann", "")->number == 3);
  }
}

TEST_CASE("fleet: its commands check, publish, show, compare and roll back", "[serve][fleet]") {
  const Written written;
  CHECK(written.command({"check", "edge-1", "--label", "region=eu"}).out ==
        "edge-1: 1 table\n" + written.dir.path().string() + ": 2 rules, 2 parts\n");
  CHECK(written.command({"publish", "--author", "ann", "-m", "all"}).out ==
        "published revision 1\n");
  CHECK(written.command({"publish"}).out == "nothing has changed: revision 1 stays the newest\n");

  // Half edited: nobody gets it.
  written.put("base.json", R"({"tables": [{"tabel": "aircraft"}]})");
  const auto bad = written.command({"publish"});
  CHECK(bad.exit.code == 2);
  CHECK(bad.out.find("/tables/0") != std::string::npos);
  CHECK(bad.err.find("has 1 problem") != std::string::npos);
  CHECK(written.command({"check"}).exit.code == 2);
  CHECK_FALSE(std::filesystem::exists(written.dir / "revisions/2.json"));
  CHECK(json::parse(written.command({"show", "edge-1", "--revision", "1"}).out)["tables"] ==
        json{{{"table", "flights"}}});

  written.put("base.json", R"({"tables": [{"table": "aircraft"}], "on_trouble": "keep"})");
  CHECK(json::parse(written.command({"show", "edge-1"}).out)["tables"] ==
        json{{{"table", "aircraft"}}});
  const std::string changed =
      "- base.json: /tables/0/table: \"flights\"\n+ base.json: /tables/0/table: \"aircraft\"\n";
  CHECK(written.command({"diff", "1"}).out == changed);
  CHECK(written.command({"publish", "--author", "bob"}).ok());
  CHECK(written.command({"diff", "1", "2"}).out == changed);

  const auto back = written.command({"rollback", "1", "--author", "cid"});
  CHECK(back.out.starts_with("published revision 3\nthe files in "));
  CHECK(written.command({"diff", "1", "3"}).out.empty());
  std::string log = written.command({"log", "--json"}).out;
  const json newest = json::parse(log.substr(0, log.find('\n')));
  CHECK(newest["revision"] == 3);
  CHECK(newest["author"] == "cid");
  CHECK(newest["text"] == "back to revision 1");
  CHECK(newest["time"].get<std::string>().ends_with("Z"));
  CHECK(written.command({"log"}).out.find("     1  ") != std::string::npos);
  CHECK(written.command({"show", "nobody", "--label", "x"}).exit.code == 2);
  CHECK(written.command({"rollback", "9"}).exit.code == 2);
}
