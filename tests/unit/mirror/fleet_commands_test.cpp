// At most once: what a host remembers of what it was asked for (owner/fleet_commands.h).
#include "owner/fleet_commands.h"

#include <catch2/catch.hpp>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "config/fleet_config.h"
#include "daystream/error.h"
#include "program/host_command.h"
#include "src/calendar.h"
#include "support/scratch_dir.h"
#include "support/wait.h"

using namespace deltamirror;
using nlohmann::json;
using nlohmann::ordered_json;
using support::eventually;

namespace {

json order(const std::string& id, const std::string& kind, std::int64_t expires_in = 3600) {
  return {{"id", id},
          {"kind", kind},
          {"arguments", json::object()},
          {"author", "ann"},
          {"text", ""},
          {"expires", daystream::utc_text(daystream::at_second(std::time(nullptr) + expires_in))}};
}

struct Host {
  explicit Host(std::vector<std::string> kinds = {"pause", "continue", "restart"})
      : config("http://127.0.0.1:1/fleet/edge", {}, mirror()),
        commands(mirror(), std::move(kinds), config, std::nullopt, signals) {}

  std::string mirror() const { return dir / "edge.db"; }
  std::filesystem::path file() const { return mirror() + ".commands.json"; }
  json known() {
    ordered_json report;
    commands.tell(report);
    json out = json::object();
    for (const auto& each : report["commands"]) {
      out[each["id"].get<std::string>()] = each["state"];
    }
    return out;
  }
  void hear(const std::vector<json>& orders) { commands.hear({{"commands", orders}}); }
  bool comes_to(const json& states) {
    return eventually([&] { return known() == states; });
  }

  support::ScratchDir dir;
  daystream::program::Signals signals;
  FleetConfig config;
  FleetCommands commands;
};

}  // namespace

TEST_CASE("commands: however often one is given it is begun once, and again asked for said again",
          "[mirror][commands]") {
  Host host;
  // Nobody's mirror is nobody's to pause.
  host.hear({order("1-a", "pause")});
  CHECK(host.known().empty());
  CHECK_FALSE(std::filesystem::exists(host.file()));
  {
    const FleetCommands::Owning owning(&host.commands);
    const std::vector<json> both = {order("1-a", "pause"), order("2-a", "continue")};
    for (int i = 0; i < 3; ++i) host.hear(both);
    CHECK(host.comes_to({{"1-a", "done"}, {"2-a", "done"}}));
    CHECK_FALSE(host.commands.is_paused());
    for (int i = 0; i < 3; ++i) host.hear(both);
    host.hear({order("3-a", "pause")});
    CHECK(host.comes_to({{"1-a", "done"}, {"2-a", "done"}, {"3-a", "done"}}));
    CHECK(host.commands.is_paused());
  }
  // Another process begins where this one was.
  const FleetCommands::Owning owning(&host.commands);
  CHECK(host.commands.is_paused());
  host.hear({order("2-a", "continue")});
  host.hear({order("4-a", "pause")});
  CHECK(host.comes_to({{"1-a", "done"}, {"2-a", "done"}, {"3-a", "done"}, {"4-a", "done"}}));
  CHECK(host.commands.is_paused());
  // Of many that are over the last ones are said, and those that are asked for again.
  for (int i = 5; i < 20; ++i) host.hear({order(std::to_string(i) + "-a", "pause")});
  CHECK(
      eventually([&] { return host.known().contains("19-a") && host.known()["19-a"] == "done"; }));
  CHECK(eventually([&] { return host.known().size() == 8; }));
  host.hear({order("1-a", "pause")});
  CHECK(host.known().size() == 9);
  CHECK(host.known()["1-a"] == "done");
}

TEST_CASE("commands: what is not on the host's list, or has expired, is not begun",
          "[mirror][commands]") {
  Host host({"pause"});
  const FleetCommands::Owning owning(&host.commands);
  host.hear({order("1-a", "pause", -1), order("2-a", "restart"), order("3-a", "shell"), 7,
             order("4-a", "verify"), json::object()});
  CHECK(host.comes_to({{"1-a", "expired"}, {"2-a", "refused"}, {"4-a", "refused"}}));
  CHECK_FALSE(host.commands.is_paused());
  CHECK_FALSE(host.commands.wants_restart());
  CHECK_FALSE(host.signals.stop_requested());
  CHECK_THROWS_WITH(FleetCommands::parse_kinds("verify,,pause"),
                    "\"\" is no command that a host can accept");
  CHECK(FleetCommands::parse_kinds("verify,pause") == std::vector<std::string>{"verify", "pause"});
}

TEST_CASE("commands: one that was begun when all ended is over, and a restart is done",
          "[mirror][commands]") {
  Host host;
  CommandRecord record;
  const auto begun = [&](const std::string& id, const std::string& kind) {
    record.add(daystream::program::parse_command(order(id, kind)).value(),
               daystream::at_second(std::time(nullptr)));
  };
  begun("1-a", "pause");
  begun("2-a", "restart");
  record.save(host.mirror());
  const FleetCommands::Owning owning(&host.commands);
  CHECK(host.known() == json{{"1-a", "interrupted"}, {"2-a", "done"}});
  host.hear({order("1-a", "pause"), order("2-a", "restart")});
  host.hear({order("3-a", "continue")});
  CHECK(host.comes_to({{"1-a", "interrupted"}, {"2-a", "done"}, {"3-a", "done"}}));
  CHECK_FALSE(host.commands.is_paused());
  CHECK_FALSE(host.signals.stop_requested());
  // It is asked for here, and is over with the next start alone.
  host.hear({order("4-a", "restart")});
  CHECK(eventually([&] { return host.signals.stop_requested(); }));
  CHECK(host.commands.wants_restart());
  CHECK_FALSE(host.signals.was_sent_stop());
  CHECK(host.known()["4-a"] == "running");
}

TEST_CASE(
    "commands: without a place to write it down nothing is begun, nor with a record that is "
    "damaged",
    "[mirror][commands]") {
  Host host;
  SECTION("no place") {
    const FleetCommands::Owning owning(&host.commands);
    std::filesystem::create_directory(host.file().string() + ".new");
    std::ofstream(host.file().string() + ".new/in-the-way") << "x";
    host.hear({order("1-a", "pause")});
    CHECK_FALSE(eventually(std::chrono::seconds(1), [&] { return host.commands.is_paused(); }));
    CHECK(host.known().empty());
    std::filesystem::remove_all(host.file().string() + ".new");
    host.hear({order("1-a", "pause")});
    CHECK(host.comes_to({{"1-a", "done"}}));
  }
  SECTION("damaged") {
    for (const char* const text : {"", "{", "[]", "{\"commands\": [{}]}", "{\"commands\": []}"}) {
      std::ofstream(host.file()) << text;
      CHECK_THROWS_AS(CommandRecord::load(host.mirror()), daystream::NeedsPerson);
      const FleetCommands::Owning owning(&host.commands);
      host.hear({order("1-a", "pause")});
      CHECK(host.known().empty());
    }
  }
}

TEST_CASE("commands: what is forgotten to make room is not begun again, whatever the clock says",
          "[mirror][commands]") {
  CommandRecord record;
  const auto command = [](int number, std::int64_t expires) {
    json root = order(std::to_string(number) + "-a", "pause");
    root["expires"] = daystream::utc_text(daystream::at_second(expires));
    return daystream::program::parse_command(root).value();
  };
  const std::int64_t now = 1'800'000'000;
  for (int i = 0; i < 200; ++i) {
    record.add(command(i, now - 1000 + i), daystream::at_second(now - 5000)).outcome.state = "done";
  }
  record.add(command(200, now + 100), daystream::at_second(now));
  CHECK(record.entries().size() < 201);
  CHECK(record.knows(command(0, now - 1000)));
  CHECK(record.knows(command(200, now + 100)));
  CHECK(record.knows(command(999, now - 1000)));
  CHECK_FALSE(record.knows(command(999, now + 50)));
  const support::ScratchDir dir;
  record.save(dir / "edge.db");
  CHECK(CommandRecord::load(dir / "edge.db").knows(command(999, now - 1000)));
}
