#include "serve/describe.h"

#include <nlohmann/json.hpp>

#include "calendar.h"
#include "day_file.h"
#include "manifest_json.h"
#include "serve/table_filter.h"

namespace daystream::serve {

using nlohmann::ordered_json;

ordered_json place_json(const Position& position, Lsn lsn) {
  return {
      {"c", position.c}, {"s", position.s}, {"time", utc_text(position.c)}, {"lsn", lsn.text()}};
}

Manifest manifest_for(const ServedStream& stream, const std::string& granted) {
  Manifest manifest = stream.manifest();
  if (granted.empty()) return manifest;
  std::vector<Holding> told;
  for (Holding& holding : manifest.holdings) {
    holding.tables = narrowed_holding(holding.tables, granted);
    std::erase_if(holding.options, [&granted](auto& option) {
      auto value = told_option(option.first, option.second, granted);
      if (value) option.second = std::move(*value);
      return !value;
    });
    // What changed may have been of other tables alone.
    if (told.empty() || !told.back().same_filter(holding)) told.push_back(std::move(holding));
  }
  manifest.holdings = std::move(told);
  manifest.keep_days.reset();
  manifest.keep_bytes.reset();
  return manifest;
}

ordered_json describe(const ServedStream& stream, const std::string& granted) {
  ordered_json value = to_json(manifest_for(stream, granted));
  const StreamView view = stream.view();
  std::uint64_t size = 0;
  ordered_json days = ordered_json::array();
  ordered_json first;
  for (const std::int64_t day : view.days()) {
    const DayView open = view.open(day);
    size += open.limit;
    days.push_back(ordered_json{{"file", day_file_name(day)}, {"size_bytes", open.limit}});
    if (!first.is_null()) continue;
    const auto line =
        Seeker(*open.file, open.limit).first_end_from(0, [](const EndLine&) { return true; });
    if (line) first = place_json(line->position, line->lsn);
  }
  // Sizes are those of all tables together.
  if (granted.empty()) value["size_bytes"] = size;
  value["first"] = std::move(first);
  value["last"] = nullptr;
  value["durable"] = nullptr;
  if (!view.empty()) {
    if (const auto last = view.last_end()) {
      value["last"] = place_json(last->position, view.durable().lsn);
    }
    value["durable"] = place_json(view.durable().position, view.durable().lsn);
  }
  if (granted.empty()) value["days"] = std::move(days);
  return value;
}

}  // namespace daystream::serve
