#include "serve/describe.h"

#include "serve/table_filter.h"

namespace daystream::serve {

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
  manifest.begun.reset();
  manifest.keep_days.reset();
  manifest.keep_bytes.reset();
  return manifest;
}

StreamInfo info_for(const ServedStream& stream, const std::string& granted) {
  StreamInfo info = Stream(stream.directory()).info();
  info.manifest = manifest_for(stream, granted);
  if (!granted.empty()) info.whole.reset();  // sizes and rates are those of all tables together
  return info;
}

}  // namespace daystream::serve
