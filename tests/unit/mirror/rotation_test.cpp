// Which snapshots of a directory stay.
#include "snapshot/rotation.h"

#include <catch2/catch.hpp>

using namespace deltamirror;
using Names = std::vector<std::string>;

namespace {

constexpr std::int64_t kHour = 3600;
constexpr std::int64_t kDay = 24 * kHour;
constexpr std::int64_t kNoon = 1'795'262'400;  // 2026-11-21 12:00, a Saturday

// What stays, newest first.
Names staying(std::vector<std::int64_t> times, const std::string& keep) {
  const auto gone = superfluous(times, parse_retention(keep).value());
  std::erase_if(times, [&](std::int64_t time) {
    return std::find(gone.begin(), gone.end(), time) != gone.end();
  });
  std::sort(times.rbegin(), times.rend());
  Names names;
  for (const std::int64_t time : times) names.push_back(snapshot_name("m.db", time).substr(2, 11));
  return names;
}

}  // namespace

TEST_CASE("rotation: names tell mirror and time", "[mirror][snapshot]") {
  CHECK(snapshot_name("/srv/flights.db", kNoon + 4) == "flights-20261121T120004Z.db");
  const auto name = parse_snapshot_name("flights-20261121T120004Z.db");
  REQUIRE(name);
  CHECK(name->stem == "flights");
  CHECK(name->seconds == kNoon + 4);
  CHECK(parse_snapshot_name("a-b-20240229T000000Z.db")->stem == "a-b");
  for (const char* other :
       {"", "flights.db", "-20261121T120004Z.db", "f-20261131T120004Z.db", "f-20261121T240004Z.db",
        "f-20261121T1200045.db", "f-20261121T120004Z.db.partial", "f-2026112 T120004Z.db"}) {
    CAPTURE(other);
    CHECK_FALSE(parse_snapshot_name(other));
  }
}

TEST_CASE("rotation: retentions as people write them", "[mirror][snapshot]") {
  const auto keep = parse_retention("7d,4w,12m");
  REQUIRE(keep);
  CHECK(keep->last == 0);
  CHECK(keep->daily == 7);
  CHECK(keep->weekly == 4);
  CHECK(keep->monthly == 12);
  CHECK(parse_retention("10")->last == 10);
  CHECK(parse_retention("24h")->hourly == 24);
  CHECK(parse_retention("2,1m")->monthly == 1);
  for (const char* bad : {"", "0", "0d", "d", "7x", "7d,", ",7d", "7d,7d", "-1", "99999d"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_retention(bad));
  }
}

TEST_CASE("rotation: the newest of each period stays, and the newest of all",
          "[mirror][snapshot]") {
  std::vector<std::int64_t> times;
  for (std::int64_t i = 0; i < 4 * 60; ++i) times.push_back(kNoon - i * 6 * kHour);  // 60 days
  CHECK(staying(times, "3") == Names{"20261121T12", "20261121T06", "20261121T00"});
  CHECK(staying(times, "3d") == Names{"20261121T12", "20261120T18", "20261119T18"});
  // ISO weeks end on Sundays.
  CHECK(staying(times, "3w") == Names{"20261121T12", "20261115T18", "20261108T18"});
  CHECK(staying(times, "2m") == Names{"20261121T12", "20261031T18"});
  CHECK(staying(times, "2d,2w,3m") ==
        Names{"20261121T12", "20261120T18", "20261115T18", "20261031T18", "20260930T18"});
  // Days without one do not count.
  CHECK(staying({kNoon, kNoon - 10 * kDay, kNoon - 11 * kDay}, "2d") ==
        Names{"20261121T12", "20261111T12"});
  CHECK(staying({kNoon}, "1m") == Names{"20261121T12"});
}

TEST_CASE("rotation: the newest of each hour stays, across midnight too", "[mirror][snapshot]") {
  constexpr std::int64_t kMinute = 60;
  constexpr std::int64_t kMidnight = kNoon + 12 * kHour;
  const std::int64_t first = kMidnight - 50 * kMinute;
  const std::int64_t second = kMidnight - 10 * kMinute;
  const std::int64_t third = kMidnight + 20 * kMinute;
  const std::int64_t fourth = kMidnight + 59 * kMinute;
  const std::int64_t fifth = kMidnight + 60 * kMinute;
  using Times = std::vector<std::int64_t>;
  const auto gone = [](Times times, const char* keep) {
    Times out = superfluous(std::move(times), parse_retention(keep).value());
    std::sort(out.begin(), out.end());
    return out;
  };
  const Times all = {first, second, kMidnight, third, fourth, fifth};
  CHECK(gone(all, "3h") == Times{first, kMidnight, third});
  CHECK(gone(all, "2h") == Times{first, second, kMidnight, third});
  CHECK(gone(all, "1h,2d") == Times{first, kMidnight, third, fourth});
  // An hour without one does not count.
  CHECK(gone({first - 5 * kHour, kMidnight}, "2h").empty());
}
