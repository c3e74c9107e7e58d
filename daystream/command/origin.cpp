#include "origin.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "daystream/error.h"
#include "daystream/reader.h"
#include "number.h"

namespace daystream::command {

namespace {

constexpr std::string_view kSource = "_source";
constexpr std::string_view kPlace = "_at_";
constexpr std::int64_t kMicroseconds = 1'000'000;

std::string source_names(const Manifest& manifest) {
  std::string names;
  for (const MergedSource& source : manifest.sources) {
    names += (names.empty() ? "" : ", ") + source.name;
  }
  return names;
}

[[noreturn]] void not_a_place(std::string_view text) {
  throw Error(fmt::format("not a place in a source: \"{}\"", text),
              "the stream was not written by daystream merge, or by a later version of it");
}

SourcePlace place_of(std::string_view position, std::string_view lsn) {
  const auto at = Position::parse(position);
  const auto lsn_at = Lsn::parse(lsn);
  if (!at || !lsn_at) not_a_place(fmt::format("{} {}", position, lsn));
  return {*at, *lsn_at, 0};
}

}  // namespace

Fields origin_fields(const std::string& name, const SourcePlace& place) {
  return {{std::string(kSource), name},
          {"_source_c", std::to_string(place.position.c)},
          {"_source_s", std::to_string(place.position.s)},
          {"_source_lsn", place.lsn.text()}};
}

Fields places_fields(const SourcePlaces& places) {
  Fields fields;
  for (const auto& [name, place] : places) {
    if (place.position == Position::begin()) continue;
    fields.emplace_back(std::string(kPlace) + name,
                        fmt::format("{} {} {}.{:06}", place.position.text(), place.lsn.text(),
                                    place.turn_us / kMicroseconds, place.turn_us % kMicroseconds));
  }
  return fields;
}

std::optional<std::pair<std::string, SourcePlace>> origin_of(const Change& end) {
  std::string_view name;
  std::string_view c;
  std::string_view s;
  std::string_view lsn;
  std::string_view key;
  std::string_view value;
  for (FieldCursor cursor(end.leading_fields); cursor.next(key, value);) {
    if (key == kSource) name = value;
    if (key == "_source_c") c = value;
    if (key == "_source_s") s = value;
    if (key == "_source_lsn") lsn = value;
  }
  if (name.empty()) return std::nullopt;
  SourcePlace place = place_of(fmt::format("{}/{}", c, s), lsn);
  place.turn_us = end.time_us;
  if (end.action == Action::Gap) place.lsn = {};
  return std::pair(unescape(name), place);
}

bool take_places(const Change& mark, SourcePlaces& places) {
  bool any = false;
  std::string_view key;
  std::string_view value;
  for (FieldCursor cursor(mark.leading_fields); cursor.next(key, value);) {
    if (!key.starts_with(kPlace)) continue;
    const auto lsn = value.find(' ') + 1;
    const auto turn = value.find(' ', lsn) + 1;
    if (lsn == 0 || turn == 0) not_a_place(value);
    SourcePlace place = place_of(value.substr(0, lsn - 1), value.substr(lsn, turn - 1 - lsn));
    const std::string_view time = value.substr(turn);
    const auto dot = time.find('.');
    const auto seconds = parse_number<std::int64_t>(time.substr(0, dot));
    std::int64_t micros = 0;
    if (!seconds || dot == std::string_view::npos || time.size() - dot != 7) not_a_place(value);
    for (const char digit : time.substr(dot + 1)) micros = 10 * micros + (digit - '0');
    place.turn_us = *seconds * kMicroseconds + micros;
    places[unescape(key.substr(kPlace.size()))] = place;
    any = true;
  }
  return any;
}

std::string_view source_of(const Change& change) {
  std::string_view key;
  std::string_view value;
  for (FieldCursor cursor(change.leading_fields); cursor.next(key, value);) {
    if (key == kSource) return value;
  }
  return {};
}

void append_with_source(std::string& out, std::string_view body, std::string_view raw_name) {
  std::string_view key;
  std::string_view value;
  std::size_t at = 0;
  for (FieldCursor cursor(body); cursor.next(key, value) && key != "_action";) {
    at = body.size() - cursor.rest().size();
  }
  out.append(body.substr(0, at));
  out.append(kSource).append("\t").append(raw_name).append("\t");
  out.append(body.substr(at));
}

// Marks that say all of it come every second of work, and begin each day.
SourcePlaces places_in(const Stream& stream) {
  for (std::uint64_t back = 64;; back *= 8) {
    const auto start = stream.before_last(back);
    SourcePlaces places;
    bool complete = !start.has_value();
    Reader reader(stream, {start.value_or(Position::begin()), std::nullopt});
    while (const Transaction* next = reader.next()) {
      if (next->kind() == Transaction::Kind::Mark) {
        complete = take_places(next->end(), places) || complete;
      } else if (const auto origin = origin_of(next->end())) {
        SourcePlace& place = places[origin->first];
        const std::int64_t turn_us = std::max(place.turn_us, origin->second.turn_us);
        place = origin->second;
        place.turn_us = turn_us;
      }
    }
    if (complete) return places;
  }
}

std::string chosen_source(const Stream& stream, const std::string& name, bool must_choose) {
  const Manifest manifest = stream.manifest();
  if (manifest.sources.empty() && !name.empty()) {
    throw ConfigError(fmt::format("daystream \"{}\" is of one database", stream.address()),
                      "leave out --source");
  }
  bool is_there = name.empty() && !(must_choose && !manifest.sources.empty());
  for (const MergedSource& source : manifest.sources) is_there = is_there || source.name == name;
  if (!is_there) {
    throw ConfigError(
        name.empty()
            ? fmt::format("daystream \"{}\" is merged of several databases", stream.address())
            : fmt::format("no source of daystream \"{}\" is called \"{}\"", stream.address(), name),
        "say which: --source " + source_names(manifest));
  }
  std::string raw;
  escape_to(raw, name);
  return raw;
}

}  // namespace daystream::command
