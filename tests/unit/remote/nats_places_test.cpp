#include "remote/nats_places.h"

#include <catch2/catch.hpp>

#include <map>
#include <random>

using daystream::remote::NatsPlaces;
using daystream::remote::NatsRange;
using daystream::remote::NatsSearch;

namespace {

using Found = NatsSearch::Found;

// A day of which the messages stand in a stream with those of other days between them.
struct Day {
  struct Message {
    NatsRange range;
    bool damaged = false;
  };
  std::map<std::uint64_t, Message> by_sequence;
  std::uint64_t size = 0;

  void add(std::uint64_t sequence, std::uint64_t bytes) {
    NatsRange range;
    range.begin = size;
    range.end = size += bytes;
    by_sequence[sequence] = {range};
  }
};

Day random_day(std::mt19937& random, int messages) {
  Day day;
  std::uint64_t sequence = 0;
  for (int i = 0; i < messages; ++i) {
    sequence += 1 + random() % 5;
    day.add(sequence, 1 + random() % 1000);
  }
  return day;
}

struct Outcome {
  Found found = Found::Nowhere;
  std::uint64_t sequence = 0;
  int asked = 0;
  std::string why;
};

Outcome search(const Day& day, NatsPlaces& places, std::uint64_t offset) {
  NatsSearch search(places, offset, day.by_sequence.rbegin()->first);
  Outcome outcome;
  outcome.found = Found::Elsewhere;
  while (outcome.found == Found::Elsewhere) {
    const auto from = search.next();
    if (!from) {
      outcome.found = Found::Nowhere;
      break;
    }
    ++outcome.asked;
    const auto at = day.by_sequence.lower_bound(*from);
    if (at == day.by_sequence.end()) {
      outcome.found = search.saw_nothing();
      continue;
    }
    outcome.sequence = at->first;
    outcome.found = at->second.damaged ? search.saw_damage(at->first, "damaged")
                                       : search.saw(at->second.range, at->first);
  }
  outcome.why = search.why();
  return outcome;
}

}  // namespace

TEST_CASE("nats places: each byte of a day is found, in few steps", "[nats]") {
  std::mt19937 random(20261130);  // NOLINT(cert-msc51-cpp): the same day each time
  const Day day = random_day(random, 2000);
  NatsPlaces places;
  int most = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::uint64_t offset = random() % day.size;
    const Outcome outcome = search(day, places, offset);
    REQUIRE(outcome.found == Found::Here);
    const NatsRange& range = day.by_sequence.at(outcome.sequence).range;
    CHECK(range.begin <= offset);
    CHECK(offset < range.end);
    most = std::max(most, outcome.asked);
  }
  // The first search knows no place, and halves what it has not seen.
  CHECK(most <= 20);
  CHECK(search(day, places, day.size).found == Found::Nowhere);
}

TEST_CASE("nats places: a message that is damaged hides its own bytes only", "[nats]") {
  std::mt19937 random(7);  // NOLINT(cert-msc51-cpp): the same day each time
  for (int round = 0; round < 200; ++round) {
    Day day = random_day(random, 1 + static_cast<int>(random() % 30));
    for (auto& [sequence, message] : day.by_sequence) message.damaged = random() % 4 == 0;
    NatsPlaces places;
    for (const auto& [sequence, message] : day.by_sequence) {
      const Outcome outcome = search(day, places, message.range.begin);
      INFO("round " << round << ", sequence " << sequence << ", " << outcome.why);
      CHECK((outcome.found == Found::Here) == !message.damaged);
      if (message.damaged) CHECK_FALSE(outcome.why.empty());
    }
  }
}

TEST_CASE("nats places: a hole is told from the message behind it", "[nats]") {
  Day day;
  day.add(1, 10);
  day.size += 5;  // these were never stored
  day.add(9, 10);
  NatsPlaces places;
  const Outcome outcome = search(day, places, 12);
  CHECK(outcome.found == Found::Nowhere);
  CHECK(outcome.why == "no message has this byte, the next begins at byte 15");
}

TEST_CASE("nats places: what was seen last may be newer than what the stream said", "[nats]") {
  NatsPlaces places;
  places.note(0, {4, 10});
  places.note(10, {9, 20});
  CHECK(NatsSearch(places, 15, 5).next() == 9);
  CHECK(NatsSearch(places, 5, 0).next() == 4);
}

TEST_CASE("nats places: a message that overlaps others is not believed", "[nats]") {
  Day day;
  day.add(1, 100);
  day.add(2, 100);
  day.by_sequence[2].range.begin = 50;
  NatsPlaces places;
  REQUIRE(search(day, places, 10).found == Found::Here);
  const Outcome outcome = search(day, places, 150);
  CHECK(outcome.found == Found::Nowhere);
  CHECK(outcome.why == "message 2 is not in order");
}
