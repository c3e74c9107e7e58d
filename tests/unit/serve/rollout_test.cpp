// How a revision goes out in steps (fleet/rollout.h).
#include "fleet/rollout.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "daystream/error.h"
#include "fleet/fleet.h"
#include "stream_fixture.h"
#include "support/scratch_dir.h"

using namespace daystream::fleet;
using nlohmann::json;
using Texts = std::vector<std::string>;

namespace {

// A fleet of mirrors of revision 1, to which revision 2 goes.
struct Going {
  explicit Going(Texts steps, int mirrors = 40) : rollout(2, {1, std::move(steps)}, std::nullopt) {
    for (int i = 0; i < mirrors; ++i) say("m" + std::to_string(i), "well", 1);
  }
  void say(const std::string& name, const std::string& state, int revision, int wanted = 0) {
    const json text = {{"state", state},
                       {"trouble", state == "well" ? json::array() : json::array({"bad luck"})},
                       {"config",
                        {{"revision", revision},
                         {"wanted_revision", wanted == 0 ? revision : wanted},
                         {"error", "no column"}}}};
    reports.tell(parse_report(name, text.dump(), now).value());
  }
  // All that are offered it take it up.
  void take() {
    for (const std::string& name :
         Texts(rollout.progress().mirrors.begin(), rollout.progress().mirrors.end())) {
      say(name, "well", 2);
    }
  }
  void look(int seconds = 0) {
    now += seconds;
    rollout.look(reports.view(now, 2), [](const MirrorReport&) { return true; });
  }
  void order(bool stop) {
    RolloutPlan plan = rollout.plan();
    ++plan.order;
    plan.order_is_stop = stop;
    plan.order_by = "ann";
    rollout.hear(plan);
  }
  std::size_t offered() const {
    std::size_t count = 0;
    for (const auto& [name, report] : reports.all()) count += rollout.offers(name) ? 1 : 0;
    return count;
  }
  std::string state() const { return rollout.progress().state; }
  std::string reason() const { return rollout.progress().reason; }

  std::int64_t now = 1000;
  FleetReports reports{{}, 1000};
  Rollout rollout;
};

}  // namespace

TEST_CASE("rollout: steps are numbers and shares of mirrors, and end with all",
          "[serve][fleet][rollout]") {
  CHECK(parse_steps("1,5%,all") == Texts{"1", "5%", "all"});
  CHECK(parse_steps("3") == Texts{"3", "all"});
  CHECK(parse_steps("all") == Texts{"all"});
  for (const char* wrong : {"", "0", "1,,all", "101%", "0%", "all,1", "x", "-1", "1, 2"}) {
    CAPTURE(wrong);
    CHECK_THROWS_AS(parse_steps(wrong), daystream::ConfigError);
  }
}

TEST_CASE("rollout: a step goes on once all of the one before have it and were well for a time",
          "[serve][fleet][rollout]") {
  Going going({"1", "10%", "all"});
  going.look();
  CHECK(going.offered() == 1);
  going.look(5);
  CHECK(going.offered() == 1);
  CHECK(going.reason().find("waits for 1 mirror") == 0);
  going.take();
  going.look();
  going.look(9);
  CHECK(going.offered() == 1);
  going.take();
  going.look(1);
  going.look();
  CHECK(going.offered() == 4);
  // One that copies is on its way, however long that takes.
  const std::string first = *going.rollout.progress().mirrors.begin();
  going.take();
  going.say(first, "copying", 2);
  going.look();
  going.look(30);
  CHECK(going.state() == "running");
  CHECK(going.offered() == 4);
  for (const auto& [name, report] : going.reports.all()) going.say(name, report->state, 1);
  going.take();
  going.look();
  going.look(10);
  CHECK(going.offered() == 40);
  CHECK(going.state() == "running");
  going.look();
  going.take();
  going.look();
  going.look(10);
  CHECK(going.state() == "done");
}

TEST_CASE("rollout: a mirror that refuses, is in trouble or silent stops it where it is",
          "[serve][fleet][rollout]") {
  Going going({"1", "all"});
  going.look();
  const std::string name = *going.rollout.progress().mirrors.begin();
  SECTION("refuses: at once") {
    going.say(name, "refused", 1, 2);
    going.look(1);
    CHECK(going.state() == "stopped");
    CHECK(going.reason() == "\"" + name + "\" refused it: no column");
  }
  SECTION("in trouble: once that lasts") {
    going.say(name, "trouble", 2);
    going.look(1);
    CHECK(going.state() == "running");
    going.say(name, "well", 2);
    going.look(8);
    going.say(name, "trouble", 2);
    going.look(1);
    going.look(9);
    CHECK(going.state() == "running");
    going.look(1);
    CHECK(going.state() == "stopped");
    CHECK(going.reason() == "\"" + name + "\" is in trouble: bad luck");
  }
  SECTION("silent") {
    going.look(static_cast<int>(kMirrorSilentS) + 1);
    going.look(10);
    CHECK(going.state() == "stopped");
    CHECK(going.reason().find("silent for") != std::string::npos);
  }
  const std::string reason = going.reason();
  going.take();
  going.look(100);
  CHECK(going.state() == "stopped");
  CHECK(going.offered() == 1);
  CHECK(going.reason() == reason);
}

TEST_CASE("rollout: somebody stops it, and goes on in spite of a trouble",
          "[serve][fleet][rollout]") {
  Going going({"1", "2", "all"});
  going.look();
  going.order(true);
  going.look();
  CHECK(going.reason() == "ann stopped it");
  going.order(false);
  going.look();
  CHECK(going.state() == "running");
  CHECK(going.offered() == 1);
  going.say(*going.rollout.progress().mirrors.begin(), "trouble", 1);
  going.look();
  going.look(10);
  CHECK(going.state() == "stopped");
  going.order(false);
  going.look();
  // It is not waited for any more.
  going.look(10);
  going.look();
  CHECK(going.offered() == 2);
  // An order to go on while it goes on is one for the next step.
  going.order(false);
  going.look();
  CHECK(going.offered() == 40);
  CHECK(going.rollout.progress().order == 4);
}

TEST_CASE("rollout: a mirror that is forgotten is waited for no longer",
          "[serve][fleet][rollout]") {
  Going going({"2", "all"}, 3);
  going.look();
  going.take();
  const std::string gone = *going.rollout.progress().mirrors.begin();
  going.reports.forget(gone, going.now);
  going.look();
  going.look(10);
  CHECK(going.reason() == "waits for 1 mirror");
  going.rollout.forget(gone);
  going.look();
  going.look(10);
  CHECK(going.rollout.progress().step == 1);
}

TEST_CASE("rollout: it begins with mirrors that are well, and that it gives something new to",
          "[serve][fleet][rollout]") {
  Going going({"2", "all"}, 3);
  going.say("m0", "trouble", 1);
  going.rollout.look(going.reports.view(1000, 2),
                     [](const MirrorReport& mirror) { return mirror.name != "m1"; });
  CHECK(going.rollout.progress().mirrors == std::set<std::string>{"m2"});
  Going nobody({"1", "all"}, 0);
  nobody.look();
  CHECK(nobody.reason() == "waits for a mirror that it gives something new to");
  CHECK_FALSE(nobody.rollout.offers("m"));
  nobody.say("m", "trouble", 1);
  nobody.look();
  CHECK(nobody.reason() == "waits for a mirror that is well");
}

TEST_CASE("rollout: what is asked for and how far it is are read as they were written",
          "[serve][fleet][rollout]") {
  const support::ScratchDir dir;
  std::filesystem::create_directories(dir / "revisions");
  std::filesystem::create_directories(dir / "reports");
  CHECK_FALSE(load_plan(dir.path(), 2));
  CHECK_FALSE(load_progress(dir.path()));
  RolloutPlan plan{1, {"1", "all"}, 7};
  plan.order = 3;
  plan.order_is_stop = true;
  plan.order_by = "ann";
  save_plan(dir.path(), 2, plan);
  CHECK(load_plan(dir.path(), 2)->steps == plan.steps);
  CHECK(load_plan(dir.path(), 2)->order == 3);
  CHECK(load_plan(dir.path(), 2)->order_is_stop);
  CHECK(load_plan(dir.path(), 2)->healthy_seconds == 7);
  CHECK(FleetDirectory(dir.path()).revisions().empty());
  const RolloutProgress progress{2, 1, "stopped", "bad luck", 3, {"a", "b"}, {"b"}};
  save_progress(dir.path(), progress);
  CHECK(load_progress(dir.path()) == progress);
  // A server that starts again goes on from there; with another revision it begins.
  CHECK(Rollout(2, plan, load_progress(dir.path())).progress() == progress);
  CHECK(Rollout(3, plan, load_progress(dir.path())).progress().mirrors.empty());
  daystream::test::spill(dir / "reports/rollout.json", "{");
  CHECK_FALSE(load_progress(dir.path()));
  // What is asked for decides to whom a revision does not go.
  for (const char* damaged : {"{", "[]", "{}"}) {
    daystream::test::spill(dir / "revisions/2.rollout.json", damaged);
    CHECK_THROWS_AS(load_plan(dir.path(), 2), daystream::NeedsPerson);
  }
}
