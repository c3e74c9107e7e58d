// What a server makes of the reports of mirrors (fleet/reports.h).
#include "fleet/reports.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "fleet/report_store.h"
#include "support/scratch_dir.h"

using namespace daystream::fleet;
using nlohmann::json;

namespace {

MirrorReport told(const std::string& name, std::int64_t at, const std::string& state = "well",
                  int revision = 1) {
  const json text = {{"state", state},
                     {"trouble", json::array()},
                     {"config", {{"revision", revision}, {"wanted_revision", revision}}}};
  return parse_report(name, text.dump(), at).value();
}

}  // namespace

TEST_CASE("reports: a mirror is missed once it could have been heard", "[serve][fleet][reports]") {
  FleetReports reports({}, 1000);
  CHECK(reports.tell(told("a", 1000)));
  CHECK(reports.tell(told("b", 1030, "trouble")));
  const auto state = [&](std::int64_t now) {
    const FleetView view = reports.view(now, 1);
    return view.state_of(*view.mirrors[0]) + " " + view.state_of(*view.mirrors[1]);
  };
  CHECK(state(1000 + kMirrorSilentS) == "well trouble");
  CHECK(state(1001 + kMirrorSilentS) == "silent trouble");
  CHECK(state(1031 + kMirrorSilentS) == "silent silent");
  CHECK(reports.view(1001 + kMirrorSilentS, 1).in_trouble() == 2);
  const auto silent = reports.view(1040 + kMirrorSilentS, 1);
  CHECK(silent.trouble_of(*silent.mirrors[0]) == "silent for 75 s");

  // One that began later misses nobody before its time.
  const FleetReports later(reports.all(), 2000);
  const FleetView view = later.view(2000 + kMirrorSilentS, 1);
  CHECK(view.state_of(*view.mirrors[0]) == "well");
}

TEST_CASE("reports: who may see some mirrors learns nothing of others", "[serve][fleet][reports]") {
  FleetReports reports({}, 1000);
  CHECK(reports.tell(told("edge-1", 1000)));
  CHECK(reports.tell(told("core", 1000, "refused", 2)));
  FleetView all = reports.view(1001, 2);
  all.rollout = std::make_shared<const nlohmann::ordered_json>(nlohmann::ordered_json{
      {"state", "stopped"}, {"reason", "mirror \"core\" refused it"}, {"mirrors", 2}});
  FleetView some = all;
  some.keep_only([](const std::string& mirror) { return mirror.starts_with("edge-"); });
  CHECK(fleet_json(all, {}).dump().find("core") != std::string::npos);
  const auto left = fleet_json(some, {});
  CHECK(left.dump().find("core") == std::string::npos);
  CHECK(left["states"]["refused"] == 0);
  CHECK(left["rollout"].dump() == R"({"state":"stopped","reason":null,"mirrors":null})");
}

TEST_CASE("reports: what a host says steers nobody's terminal", "[serve][fleet][reports]") {
  const json text = {{"state", "trouble"},
                     {"host", "a\xc2\x9b[2J"},
                     {"trouble", {"\x1b[2J", "b"}},
                     {"labels", {{"region", "\u202eeu"}}}};
  const MirrorReport report = parse_report("a", text.dump(), 1).value();
  CHECK(report.host == "a\\xc2\\x9b[2J");
  CHECK(report.trouble == "\\x1b[2J");
  CHECK(report.labels.at("region") == "\\xe2\\x80\\xaeeu");
}

TEST_CASE("reports: what says nothing new is stored now and then, and what is gone is forgotten",
          "[serve][fleet][reports]") {
  FleetReports reports({}, 1000);
  CHECK(reports.take_batch(1000).empty());
  reports.tell(told("a", 1000));
  reports.tell(told("b", 1000));
  ReportBatch batch = reports.take_batch(1001);
  CHECK(batch.reports.size() == 2);
  CHECK(batch.events.size() == 2);
  reports.tell(told("a", 1010));
  reports.tell(told("b", 1010, "well", 2));
  batch = reports.take_batch(1011);
  CHECK(batch.heard.size() == 2);
  REQUIRE(batch.reports.size() == 1);
  CHECK(batch.reports[0]->name == "b");
  REQUIRE(batch.events.size() == 1);
  CHECK(batch.events[0].revision == 2);
  reports.tell(told("a", 1070));
  CHECK(reports.take_batch(1071).reports.size() == 1);
  // A silence is one of the things that became of it.
  reports.tell(told("b", 1200, "trouble", 2));
  batch = reports.take_batch(1200);
  REQUIRE(batch.events.size() == 2);
  CHECK(batch.events[0].state == "silent");
  CHECK(batch.events[0].at == 1010 + kMirrorSilentS);
  CHECK(batch.events[1].state == "trouble");

  batch = reports.take_batch(1071 + kMirrorGoneS);
  CHECK(batch.gone == std::vector<std::string>{"a"});
  CHECK(reports.all().size() == 1);
}

TEST_CASE("reports: another reason is stored at once, other figures are not",
          "[serve][fleet][reports]") {
  FleetReports reports({}, 1000);
  const auto stored = [&](std::int64_t at, const json& more) {
    json text = {{"state", "trouble"}, {"trouble", json::array()}};
    text.update(more);
    reports.tell(parse_report("a", text.dump(), at).value());
    const ReportBatch batch = reports.take_batch(at);
    CHECK(batch.events.size() == (at == 1000 ? 1 : 0));
    return !batch.reports.empty();
  };
  CHECK(stored(1000, {{"trouble", {"no process owns the mirror"}}}));
  CHECK(stored(1001, {{"trouble", {"table \"t1\" is frozen for 3 s at 0/1A"}}}));
  CHECK_FALSE(stored(1002, {{"trouble", {"table \"t1\" is frozen for 4 s at 0/2B"}}}));
  CHECK_FALSE(stored(1003, {{"trouble", {"table \"t1\" is frozen for 5 s at 0/3C"}},
                            {"size_bytes", 8192},
                            {"lag_seconds", 1.5}}));
  CHECK(stored(1004, {{"trouble", {"table \"t2\" is frozen for 5 s at 0/3C"}}}));
  CHECK(stored(1005, {{"trouble", {"table \"t2\" is frozen for 5 s at 0/3C", "no room"}}}));
  CHECK(stored(1006, {{"accept_commands", {"pause"}}}));
  CHECK(stored(1007, {{"accept_commands", {"pause"}}, {"labels", {{"region", "eu"}}}}));
}

TEST_CASE("reports: they are kept as they were told, with the newest of what became of each",
          "[serve][fleet][reports]") {
  const support::ScratchDir dir;
  ReportStore store(dir.path());
  CHECK_FALSE(store.exists());
  store.open_for_writing();
  store.open_for_writing();
  FleetReports reports({}, 1000);
  for (int i = 0; i < 150; ++i) {
    reports.tell(told("a", 1000 + i, i % 2 == 0 ? "well" : "trouble", i));
  }
  store.save(reports.take_batch(2000));
  reports.tell(told("a", 1155, "trouble", 149));
  store.save(reports.take_batch(2001));
  const MirrorReports loaded = store.load();
  REQUIRE(loaded.size() == 1);
  CHECK(loaded.at("a")->told_at == 1155);
  CHECK(loaded.at("a")->state == "trouble");
  CHECK(loaded.at("a")->revision == 149);
  const auto events = store.events("a");
  CHECK(events.size() == ReportStore::kMostEvents);
  CHECK(events.back().revision == 149);
  CHECK(store.events("b").empty());
}

TEST_CASE("reports: a mirror that somebody has forgotten is no more, unless it was heard since",
          "[serve][fleet][reports]") {
  const support::ScratchDir dir;
  ReportStore store(dir.path());
  store.open_for_writing();
  FleetReports reports({}, 1000);
  reports.tell(told("a", 1000));
  reports.tell(told("b", 1000));
  CHECK(store.save(reports.take_batch(1000)).empty());
  store.forget("a", 1100);
  store.forget("b", 1100);
  CHECK(store.load().empty());
  CHECK(store.events("a").empty());
  reports.tell(told("b", 1101));
  const auto forgotten = store.save(reports.take_batch(1102));
  REQUIRE(forgotten.size() == 2);
  for (const auto& [mirror, at] : forgotten) reports.forget(mirror, at);
  CHECK(reports.all().size() == 1);
  CHECK(reports.all().contains("b"));
  reports.tell(told("b", 1111));
  CHECK(store.save(reports.take_batch(1112)).empty());
  CHECK(store.load().at("b")->told_at == 1111);
}

TEST_CASE("reports: there is an end to how many mirrors are known", "[serve][fleet][reports]") {
  FleetReports reports({}, 1000);
  for (std::size_t i = 0; i < kMostMirrors; ++i) {
    REQUIRE(reports.tell(told("m" + std::to_string(i), 1000)));
  }
  CHECK_FALSE(reports.tell(told("one more", 1000)));
  CHECK(reports.tell(told("m7", 1001)));
}
