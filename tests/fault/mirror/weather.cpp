#include "weather.h"

#include <catch2/catch.hpp>
#include <map>
#include <utility>

namespace fault {

namespace {

// The last of the wished tables has another name in the mirror.
std::map<std::string, std::string> called() {
  std::map<std::string, std::string> out;
  for (const std::string& name : ShapeStorm::wished()) out.emplace("public." + name, name);
  out["public." + ShapeStorm::wished().back()] = "called";
  return out;
}

}  // namespace

Weather::Weather(Random& random, const Climate& climate) : random_(random), climate_(climate) {
  const auto prepare = [&](support::Cluster& cluster, const StormSource& source) {
    places_.push_back(
        {.database = source.database,
         .storm = std::make_unique<ShapeStorm>(cluster, random, source.database, source.name),
         .later = {}});
  };
  const MirrorSetting setting = {.sources = climate.sources,
                                 .connected = climate.connected,
                                 .lent = climate.lent,
                                 .called = called(),
                                 .streamed = {}};
  programs_ = std::make_unique<MirrorPrograms>(setting, prepare);
}

void Weather::note(const std::string& done) {
  if (done.find("UNLOGGED") != std::string::npos) unlogged_ = true;
  ran_ += done;
}

std::function<void()> Weather::between() {
  return [this] {
    if (!random_.one_in(15)) return;
    unlogged_ = true;  // in the midst of a step one may have come to be so
    ran_ += disturb();
  };
}

void Weather::step() {
  ran_ += programs_->take_up_seeded();
  Place& place = places_[random_.below(places_.size())];
  if (places_.size() > 1 && random_.one_in(5)) make_again();
  const std::string label = "-- " + place.database + ":\n";
  note(label + place.storm->step(between()));
  for (Place& other : places_) {
    if (&other == &place) continue;
    if (!place.storm->last().empty()) other.later.push_back(place.storm->last());
    if (random_.one_in(2)) catch_up_with_others(other, false);
  }
  if (random_.one_in(10)) ran_ += disturb();
  if (!programs_->owner().running()) FAIL(programs_->ending() << "\n" << history());
}

// All come to have one shape of a table again, each at its time.
void Weather::make_again() {
  const ShapeStorm::Lines lines = places_[0].storm->made_again();
  for (Place& place : places_) place.later.push_back(lines);
}

void Weather::catch_up_with_others(Place& place, bool all) {
  while (!place.later.empty()) {
    const bool out_of_order = place.later.size() > 1 && random_.one_in(4);
    const auto next = place.later.begin() + (out_of_order ? 1 : 0);
    const ShapeStorm::Lines lines = std::move(*next);
    place.later.erase(next);
    note("-- " + place.database + ", as others:\n" + place.storm->repeat(lines, between()));
    if (!all) return;
  }
}

std::string Weather::disturb() {
  const std::size_t place = random_.below(places_.size());
  switch (random_.below(7)) {
    case 0:
    case 1:
      programs_->kill_owner();
      return "-- deltamirror is killed and started\n";
    case 2:
      programs_->kill_stream(place);
      return "-- deltastream of " + places_[place].database + " is killed and started\n";
    case 3:
      programs_->read_configuration();
      return "-- deltamirror reads its configuration\n";
    case 4:
      if (random_.one_in(3)) return kill_server();
      break;
    case 5:
      programs_->begin_seed();
      return "-- a seed goes on beside it\n";
    default:
      break;
  }
  programs_->cut_connections();
  return "-- the connections of deltastream are ended\n";
}

// PostgreSQL's own recovery may fail over a table that came to be unlogged since its last
// checkpoint: "could not create file: File exists".
std::string Weather::kill_server() {
  if (std::exchange(unlogged_, false)) programs_->cluster().execute("CHECKPOINT");
  if (random_.one_in(2)) {
    programs_->kill_server();
    return "-- PostgreSQL is killed and started\n";
  }
  programs_->shut_server_at_once();
  return "-- PostgreSQL is shut down at once and started\n";
}

std::string Weather::complaint() {
  if (random_.one_in(2)) {
    for (Place& place : places_) catch_up_with_others(place, true);
  }
  std::string out = programs_->complaint(climate_.connected);
  if (out.empty() && !climate_.connected && random_.one_in(2)) {
    ran_ += programs_->do_as_told();
    out = programs_->complaint(true);
  }
  if (out.empty()) ran_.clear();
  return out;
}

}  // namespace fault
