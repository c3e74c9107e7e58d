#include "stream_json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>

#include "calendar.h"
#include "daystream/error.h"
#include "manifest_json.h"

namespace daystream {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;
using Point = StreamInfo::Point;

template <typename Value>
Value parsed(const json& from) {
  const auto text = from.get<std::string>();
  const auto value = Value::parse(text);
  if (!value) {
    throw ConfigError(fmt::format("unexpected value \"{}\"", text),
                      "the server is of another version: update the older side");
  }
  return *value;
}

std::optional<Point> point_from(const json& value) {
  if (value.is_null()) return std::nullopt;
  return Point{parsed<Position>(value.at("position")), parsed<Lsn>(value.at("lsn"))};
}

void add_whole(ordered_json& value, const StreamInfo::Whole& whole) {
  value["writer"] = whole.writer ? ordered_json(*whole.writer) : ordered_json(nullptr);
  value["size_bytes"] = whole.size_bytes;
  value["stored_bytes"] = whole.stored_bytes;
  value["bytes_per_second"] = whole.rate.bytes;
  value["lines_per_second"] = whole.rate.lines;
  value["transactions_per_second"] = whole.rate.transactions;
  value["rate_seconds"] = whole.rate.seconds;
  value["days"] = ordered_json::array();
  for (const StreamInfo::Day& day : whole.days) {
    value["days"].push_back(ordered_json{
        {"file", day.file}, {"size_bytes", day.size_bytes}, {"stored_bytes", day.stored_bytes}});
  }
}

StreamInfo::Whole whole_from(const json& value) {
  StreamInfo::Whole whole;
  if (!value.at("writer").is_null()) whole.writer = value.at("writer").get<std::string>();
  value.at("size_bytes").get_to(whole.size_bytes);
  value.at("stored_bytes").get_to(whole.stored_bytes);
  value.at("bytes_per_second").get_to(whole.rate.bytes);
  value.at("lines_per_second").get_to(whole.rate.lines);
  value.at("transactions_per_second").get_to(whole.rate.transactions);
  value.at("rate_seconds").get_to(whole.rate.seconds);
  for (const json& day : value.at("days")) {
    whole.days.push_back({day.at("file").get<std::string>(),
                          day.at("size_bytes").get<std::uint64_t>(),
                          day.at("stored_bytes").get<std::uint64_t>()});
  }
  return whole;
}

}  // namespace

ordered_json to_json(const std::optional<Point>& point) {
  if (!point) return nullptr;
  return {{"position", point->position.text()},
          {"time", utc_text(at_second(point->position.c))},
          {"lsn", point->lsn.text()}};
}

ordered_json to_json(const StreamInfo& info) {
  ordered_json value = to_json(info.manifest);
  value["first"] = to_json(info.first);
  value["last"] = to_json(info.last);
  value["durable"] = to_json(info.durable);
  if (info.whole) add_whole(value, *info.whole);
  return value;
}

StreamInfo stream_info_from_json(const json& value, const std::string& address) {
  StreamInfo info;
  info.manifest = manifest_from_json(value, address);
  info.first = point_from(value.at("first"));
  info.last = point_from(value.at("last"));
  info.durable = point_from(value.at("durable"));
  if (value.contains("days")) info.whole = whole_from(value);
  return info;
}

ordered_json to_json(const std::optional<Extent>& extent) {
  if (!extent) return nullptr;
  return {{"first", extent->first.text()},
          {"last", extent->last.text()},
          {"last_lsn", extent->last_lsn.text()}};
}

std::optional<Extent> extent_from_json(const json& value) {
  if (value.is_null()) return std::nullopt;
  return Extent{parsed<Position>(value.at("first")), parsed<Position>(value.at("last")),
                parsed<Lsn>(value.at("last_lsn"))};
}

ordered_json to_json(const std::optional<Seam>& seam) {
  if (!seam) return nullptr;
  return {{"position", seam->position.text()}, {"lsn", seam->lsn.text()}, {"next", seam->next}};
}

std::optional<Seam> seam_from_json(const json& value) {
  if (value.is_null()) return std::nullopt;
  return Seam{parsed<Position>(value.at("position")), parsed<Lsn>(value.at("lsn")),
              value.at("next").get<std::uint64_t>()};
}

ordered_json to_json(const std::optional<Position>& position) {
  return position ? ordered_json(position->text()) : ordered_json(nullptr);
}

std::optional<Position> position_from_json(const json& value) {
  if (value.is_null()) return std::nullopt;
  return parsed<Position>(value);
}

}  // namespace daystream
