#include "config/made_streams.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "daystream/error.h"
#include "program/json.h"
#include "src/dir.h"
#include "store/mirror_file.h"

namespace deltamirror {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

fs::path record_file(const std::string& mirror) {
  return beside(mirror, ".up.json");
}

std::vector<MadeStream> made_streams(const std::string& mirror) {
  const fs::path path = record_file(mirror);
  const auto file =
      daystream::real_dir(fs::absolute(path).parent_path())->open(path.filename().string());
  if (!file) return {};
  const auto root = daystream::program::parse_json(daystream::read_whole(*file));
  if (!root.is_object() || root.value("version", ordered_json()) != kMadeStreamsVersion) {
    throw daystream::NeedsPerson(
        fmt::format("\"{}\" does not say which streams \"up\" has made", path.string()),
        "it is damaged, or of a newer version; without it only those are known that the "
        "configuration names: look for others in pg_replication_slots, and move it away");
  }
  std::vector<MadeStream> streams;
  for (const ordered_json& each : root.value("streams", ordered_json::array())) {
    using daystream::program::text_of;
    streams.push_back({text_of(each, "source"), text_of(each, "daystream"), text_of(each, "slot"),
                       text_of(each, "connection")});
  }
  return streams;
}

}  // namespace deltamirror
