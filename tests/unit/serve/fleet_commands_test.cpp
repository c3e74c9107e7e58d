// What hosts of a fleet are asked to do, and whom a server asks (fleet/commands.h).
#include "fleet/commands.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "calendar.h"
#include "daystream/error.h"
#include "fleet/report_store.h"
#include "support/scratch_dir.h"

using namespace daystream::fleet;
using daystream::at_second;
using daystream::ConfigError;
using nlohmann::json;

namespace {

constexpr std::int64_t kToday = 1'800'000'000;

FleetCommand asked(const std::string& kind, const json& arguments = json::object()) {
  FleetCommand command;
  command.command.kind = kind;
  command.command.arguments = arguments;
  command.command.author = "ann";
  command.command.expires = at_second(std::time(nullptr) + 3600);
  return command;
}

// As a directory would have it.
FleetCommand numbered(std::uint64_t number, const std::string& kind, const std::string& name) {
  FleetCommand command = asked(kind);
  command.number = number;
  command.command.id = std::to_string(number) + "-x";
  command.command.expires = at_second(kToday + 3600);
  command.name = name;
  return command;
}

MirrorReport saying(const std::string& name, const json& accepts,
                    const json& outcomes = json::array()) {
  const json text = {{"state", "well"},
                     {"trouble", json::array()},
                     {"labels", {{"region", "eu"}}},
                     {"accept_commands", accepts},
                     {"commands", outcomes}};
  return parse_report(name, text.dump(), kToday).value();
}

json became(const std::string& id, const std::string& state) {
  return {{"id", id}, {"state", state}, {"result", "so"}, {"at", "2026-11-21T10:15:04Z"}};
}

std::vector<std::string> ids(const nlohmann::ordered_json& orders, const char* key) {
  std::vector<std::string> out;
  for (const auto& each : orders.value(key, nlohmann::ordered_json::array())) {
    out.push_back(each.is_string() ? each.get<std::string>() : each["id"].get<std::string>());
  }
  return out;
}

using Ids = std::vector<std::string>;

}  // namespace

TEST_CASE("commands: what is asked for is checked, numbered and kept", "[serve][fleet][commands]") {
  const support::ScratchDir dir;
  const CommandDirectory commands(dir.path());
  CHECK(commands.load().empty());
  const auto refusal = [&](const FleetCommand& command) -> std::string {
    try {
      commands.issue(command);
      return {};
    } catch (const ConfigError& e) {
      return e.what();
    }
  };
  CHECK(refusal(asked("shell")) ==
        "\"shell\" is no command of a host: there are continue, pause, reseed, restart, sample, "
        "snapshot, verify");
  CHECK(refusal(asked("reseed")) == "\"reseed\" needs --table");
  CHECK(refusal(asked("reseed", {{"tables", json::array()}})).find("/tables") == 0);
  CHECK(refusal(asked("pause", {{"tables", {"a"}}})) == "\"pause\" takes no --table");
  for (const char* size : {"$(id)", "150%", "0", "0%", "1.5", "1000000000000000000000"}) {
    CHECK(refusal(asked("sample", {{"size", size}})) ==
          "invalid --size \"" + std::string(size) + "\"");
  }
  for (const char* keep : {"../x", "7d,7d", "0d", ","}) {
    CHECK(refusal(asked("snapshot", {{"keep", keep}})) ==
          "invalid --keep \"" + std::string(keep) + "\"");
  }
  for (const char* table : {"flight*", "a.b.c", "a,b", "a b"}) {
    CHECK(refusal(asked("reseed", {{"tables", {"crews", table}}})) ==
          "invalid --table \"" + std::string(table) + "\": it is not a table name");
  }
  CHECK(refusal(asked("reseed", {{"tables", {"\"A\"b"}}})) ==
        "invalid --table \"A\"b: it is not a table name");
  FleetCommand late = asked("verify");
  late.command.expires = at_second(std::time(nullptr) + 32 * 86400);
  CHECK(refusal(late) == "a command expires later than now, and within 31 days");
  CHECK_FALSE(std::filesystem::exists(dir / "commands/1.json"));

  const FleetCommand first = commands.issue(asked("reseed", {{"tables", {"flights"}}}));
  const FleetCommand second = commands.issue(asked("verify"));
  CHECK(first.number == 1);
  CHECK(second.number == 2);
  CHECK(first.command.id.substr(0, 2) == "1-");
  CHECK(commands.load().size() == 2);
  CHECK(commands.load()[0].command.arguments == json{{"tables", {"flights"}}});

  // The directory comes back from a backup: the number is given again, the id never.
  std::filesystem::remove(dir / "commands/2.json");
  const FleetCommand again = commands.issue(asked("verify"));
  CHECK(again.number == 2);
  CHECK(again.command.id != second.command.id);

  CHECK(commands.withdraw(2, "bob").withdrawn_by == "bob");
  CHECK(commands.load()[1].withdrawn_by == "bob");
  CHECK_THROWS_WITH(commands.withdraw(2, "bob"), "command 2 is withdrawn already");
  CHECK_THROWS_WITH(commands.withdraw(7, "bob"), "there is no command 7");

  std::ofstream(dir / "commands/3.json") << "{";
  std::vector<std::string> damaged;
  CHECK(commands.load(&damaged).size() == 2);
  CHECK(damaged == std::vector<std::string>{dir / "commands/3.json"});
  CHECK_THROWS_AS(commands.issue(asked("verify")), daystream::NeedsPerson);
  CHECK_THROWS_AS(commands.withdraw(3, "bob"), daystream::NeedsPerson);
  CHECK_THROWS_AS(commands.withdraw(4, "bob"), ConfigError);
  // One that a host refuses, and that was asked for before this was known here, is none of them.
  std::string text;
  std::getline(std::ifstream(dir / "commands/1.json"), text, '\0');
  json first_file = json::parse(text);
  first_file["number"] = 4;
  first_file["kind"] = "sample";
  first_file["arguments"] = {{"size", "150%"}};
  std::ofstream(dir / "commands/4.json") << first_file.dump();
  damaged.clear();
  CHECK(commands.load(&damaged).size() == 3);
  CHECK(damaged.size() == 1);
}

TEST_CASE("commands: a mirror hears of those that are for it, that it accepts, and has not done",
          "[serve][fleet][commands]") {
  CommandBook book({});
  FleetCommand labelled = numbered(3, "pause", "*");
  labelled.labels = {{"region", "e*"}};
  FleetCommand withdrawn = numbered(4, "verify", "*");
  withdrawn.withdrawn_by = "bob";
  FleetCommand elsewhere = numbered(5, "verify", "*");
  elsewhere.labels = {{"region", "us"}};
  const std::vector<FleetCommand> all = {numbered(1, "verify", "edge-*"),
                                         numbered(2, "reseed", "edge-1"), labelled, withdrawn,
                                         elsewhere};
  book.hear(all);
  const json every = {"verify", "reseed", "pause"};
  CHECK(ids(book.orders_for(saying("edge-1", every), kToday), "commands") ==
        Ids{"1-x", "2-x", "3-x"});
  CHECK(ids(book.orders_for(saying("edge-2", every), kToday), "commands") == Ids{"1-x", "3-x"});
  CHECK(ids(book.orders_for(saying("edge-1", {"verify"}), kToday), "commands") == Ids{"1-x"});
  CHECK(book.orders_for(saying("edge-1", json::array()), kToday).dump() == "{}");
  CHECK(book.newest_for(saying("edge-2", every), kToday) == 3);
  CHECK(book.newest_for(saying("core", {"verify"}), kToday) == 0);
  CHECK(book.orders_for(saying("edge-1", every), kToday + 3600).dump() == "{}");

  // Said again by a host that knows no answer of ours, it is no news.
  CHECK(book.tell(saying("edge-1", every, json::array({became("1-x", "running")}))).size() == 1);
  CHECK(book.tell(saying("edge-1", every, json::array({became("1-x", "running")}))).empty());
  CHECK(ids(book.orders_for(saying("edge-1", every), kToday), "commands") == Ids{"2-x", "3-x"});
  CHECK(book.tell(saying("edge-1", every, json::array({became("1-x", "done")}))).size() == 1);
  CHECK(book.tell(saying("edge-1", every, json::array({became("1-x", "failed")}))).empty());
  CHECK(book.outcomes("1-x").at("edge-1").state == "done");
  // It says nothing of others, nor of what is not for it.
  CHECK(ids(book.orders_for(saying("edge-2", every), kToday), "commands") == Ids{"1-x", "3-x"});
  CHECK(book.tell(saying("edge-2", every, {became("2-x", "done"), became("9-x", "done"), 7}))
            .empty());

  // What a host is at and somebody has withdrawn it is told to end.
  CHECK(book.tell(saying("edge-2", every, json::array({became("3-x", "running")}))).size() == 1);
  std::vector<FleetCommand> less = all;
  less[2].withdrawn_by = "bob";
  book.hear(less);
  CHECK(ids(book.orders_for(saying("edge-2", every), kToday), "withdrawn") == Ids{"3-x"});
  CHECK(ids(book.orders_for(saying("edge-1", every), kToday), "withdrawn").empty());

  const FleetView view{{std::make_shared<const MirrorReport>(saying("edge-1", every)),
                        std::make_shared<const MirrorReport>(saying("edge-2", json::array()))},
                       kToday,
                       kToday,
                       1};
  const auto summary = book.summary(view);
  CHECK(summary.size() == 5);
  CHECK(summary[4]["mirrors"].dump() == R"({"done":1,"not accepted":1})");
  CHECK(summary[2]["state"] == "withdrawn");
  CHECK(summary[2]["mirrors"].dump() == R"({"running":1})");
}

TEST_CASE("commands: what became of them outlives the server that was told",
          "[serve][fleet][commands]") {
  const support::ScratchDir dir;
  ReportStore store(dir.path());
  store.open_for_writing();
  ReportBatch batch;
  batch.outcomes.emplace_back("edge-1", CommandOutcome{"1-x", "running", "", at_second(kToday)});
  store.save(batch);
  batch.outcomes = {{"edge-1", CommandOutcome{"1-x", "done", "2 rows", at_second(kToday)}}};
  store.save(batch);
  CommandBook book(store.outcomes());
  book.hear({numbered(1, "verify", "*")});
  CHECK(book.outcomes("1-x").at("edge-1").result == "2 rows");
  CHECK(book.orders_for(saying("edge-1", {"verify"}), kToday).dump() == "{}");
  CHECK_FALSE(book.orders_for(saying("edge-2", {"verify"}), kToday).empty());
}
