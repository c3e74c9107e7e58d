// What a stream and a copy are judged to be (serve/health.h).
#include "serve/health.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "calendar.h"

using namespace daystream;
using namespace daystream::serve;

namespace {

constexpr std::int64_t kNow = 1'700'000'000;

StreamSample told(const char* state, std::int64_t ago_s, const char* error = "") {
  StreamSample sample;
  sample.streamer = std::make_shared<const nlohmann::ordered_json>(nlohmann::ordered_json{
      {"state", state},
      {"updated_at", daystream::utc_text(daystream::at_second(kNow - ago_s))},
      {"last_error", error}});
  return sample;
}

}  // namespace

TEST_CASE("health: a deltastream is well while it streams and says so", "[serve][health]") {
  const StreamHealth well = stream_health(told("streaming", 5), kNow - 3600, kNow);
  CHECK(well.is_well());
  CHECK(well.fresh != nullptr);
  const StreamHealth hung = stream_health(told("streaming", 75), kNow, kNow);
  CHECK(hung.trouble == "deltastream has been silent for 75 s");
  CHECK(hung.fresh == nullptr);
  CHECK(hung.heard_s == kNow - 75);
  CHECK(stream_health(told("stopped", 1), kNow, kNow).trouble == "deltastream is stopped");
  // Where it stopped for a person to see to, its own advice is what to do.
  StreamSample lost;
  lost.streamer = std::make_shared<const nlohmann::ordered_json>(
      nlohmann::ordered_json{{"state", "stopped"},
                             {"updated_at", daystream::utc_text(daystream::at_second(kNow))},
                             {"last_error", "the slot is lost"},
                             {"last_hint", "deltastream --recreate-slot"},
                             {"needs_person", true}});
  CHECK(stream_health(lost, kNow, kNow).text() ==
        "deltastream is stopped: the slot is lost; HINT: deltastream --recreate-slot");
  CHECK(stream_health(lost, kNow, kNow).fresh == nullptr);  // its numbers are those of before
  CHECK(stream_health(told("waiting", 1, "no disk"), kNow, kNow).trouble ==
        "deltastream waits: no disk");
}

TEST_CASE("health: a stream whose disk is full is in trouble, and is written yet",
          "[serve][health]") {
  StreamSample sample = told("streaming", 5);
  nlohmann::ordered_json status = *sample.streamer;
  status["disk_free_bytes"] = 4096;
  status["disk_full_since"] = daystream::utc_text(daystream::at_second(kNow - 60));
  sample.streamer = std::make_shared<const nlohmann::ordered_json>(status);
  const StreamHealth full = stream_health(sample, kNow, kNow);
  CHECK(full.trouble == "the disk is full: 4.1 kB left");
  CHECK_FALSE(full.hint.empty());
  CHECK(full.since_s == kNow - 60);
  CHECK(full.is_written);
  CHECK(nlohmann::json::parse(health_json(full, true))["healthy"] == true);  // to its mirrors
  CHECK_FALSE(stream_health(told("waiting", 1, "no disk"), kNow, kNow).is_written);
  // Of a copy the server sees it itself.
  StreamSample copy;
  copy.disk_trouble = "the disk is full: 0 B left";
  CHECK(stream_health(copy, kNow - 5, kNow).trouble == copy.disk_trouble);
  CHECK(stream_health(copy, kNow - 5, kNow).is_written);
}

TEST_CASE("health: what deltastream's file says may be anything", "[serve][health]") {
  StreamSample sample;
  sample.streamer = std::make_shared<const nlohmann::ordered_json>(
      nlohmann::ordered_json{{"state", 7}, {"updated_at", "x"}, {"last_error", nullptr}});
  CHECK_FALSE(stream_health(sample, kNow, kNow).is_well());
  const StreamHealth odd = stream_health(told("waiting", 1, "a\x1b[2Jb"), kNow, kNow);
  CHECK(odd.trouble.find('\x1b') == std::string::npos);
}

TEST_CASE("health: without a deltastream lines tell whether a stream lives", "[serve][health]") {
  CHECK(stream_health({}, kNow - 20, kNow).is_well());
  CHECK(stream_health({}, kNow - 90, kNow).trouble == "nothing has come for 90 s");
  CHECK_FALSE(stream_health({}, std::nullopt, kNow).is_well());
}

TEST_CASE("health: a mirror that has all of it is not late, whatever it said last",
          "[serve][health]") {
  Copy copy;
  copy.kind = "mirror";
  copy.position = {kNow - 100, 1};
  copy.lag_ms = 26'000;
  copy.told = kNow - 5;
  Durable durable;
  durable.position = copy.position;
  CHECK(copy_lag_ms(copy, durable, kNow) == 0);
  CHECK(copy_trouble(copy, kNow).empty());
  durable.position = {kNow, 1};
  CHECK(copy_lag_ms(copy, durable, kNow) == 26'000);
  // Nothing was heard since: it can only be later.
  copy.told = kNow - 100;
  CHECK(copy_lag_ms(copy, durable, kNow) == 126'000);
  CHECK(copy_trouble(copy, kNow) == "silent for 100 s");
}

TEST_CASE("health: a mirror that stands still gets later, also while it reports",
          "[serve][health]") {
  Copies copies;
  Durable durable;
  durable.position = {kNow, 1};
  const auto tell = [&](std::int64_t at, Position position, const std::string& trouble) {
    Copy copy;
    copy.name = "m";
    copy.kind = "mirror";
    copy.position = position;
    copy.lag_ms = 200;
    copy.told = at;
    copy.trouble = trouble;
    copies.tell(copy, position < durable.position);
    return copies.all().begin()->second;
  };
  const Position first{kNow - 90, 1};
  CHECK(copy_lag_ms(tell(kNow - 80, first, ""), durable, kNow - 79) == 200);
  CHECK(copy_lag_ms(tell(kNow - 76, first, ""), durable, kNow - 75) == 1'200);
  const Copy full = tell(kNow - 4, first, "disk is full");
  CHECK(copy_lag_ms(full, durable, kNow) == 76'200);
  CHECK(copy_trouble(full, kNow) == "disk is full");
  // One that goes on is as late as it says, and one that has all is not.
  const Copy on = tell(kNow, {kNow - 80, 1}, "");
  CHECK(copy_lag_ms(on, durable, kNow) == 200);
  CHECK(copy_trouble(on, kNow).empty());
  CHECK(tell(kNow + 4, durable.position, "").still_since == 0);
  CHECK(tell(kNow + 8, durable.position, "").still_since == 0);
}

TEST_CASE("health: how late a last commit was is over once the mirror has had all there was",
          "[serve][health]") {
  Copies copies;
  Durable durable;
  const auto tell = [&](std::int64_t at, Position position) {
    Copy copy;
    copy.name = "m";
    copy.kind = "mirror";
    copy.position = position;
    copy.lag_ms = 8'281;
    copy.told = at;
    copies.tell(copy, position < durable.position);
    return copies.all().begin()->second;
  };
  const Position commit{kNow - 20, 1};
  durable.position = commit;
  CHECK(copy_lag_ms(tell(kNow - 15, {kNow - 40, 1}), durable, kNow - 15) == 8'281);
  const Copy level = tell(kNow - 14, commit);
  CHECK(copy_lag_ms(level, durable, kNow - 14) == 0);
  // A mark that it has not reported yet makes it a moment late, not as late as it once was; nor do
  // signs of life in between, which say the same of the same commit.
  durable.position = {kNow - 10, 1};
  CHECK(copy_lag_ms(level, durable, kNow - 10) == 0);
  CHECK(copy_lag_ms(tell(kNow - 10, commit), durable, kNow - 10) == 0);
  CHECK(copy_lag_ms(tell(kNow - 7, commit), durable, kNow - 7) == 3'000);
}
