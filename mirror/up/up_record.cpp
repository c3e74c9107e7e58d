#include "up/up_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "daystream/error.h"
#include "program/json.h"
#include "src/dir.h"
#include "src/json_text.h"
#include "store/mirror_file.h"

namespace deltamirror {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

namespace {

std::unique_ptr<daystream::Dir> folder_of(const fs::path& file) {
  return daystream::real_dir(fs::absolute(file).parent_path());
}

bool is_same(const OwnStream& one, const OwnStream& other) {
  return one.slot == other.slot && one.directory == other.directory;
}

void save(const std::string& mirror, const std::vector<OwnStream>& streams) {
  const fs::path file = record_file(mirror);
  const auto folder = folder_of(file);
  if (streams.empty()) return folder->remove(file.filename().string());
  ordered_json list = ordered_json::array();
  for (const OwnStream& stream : streams) {
    list.push_back({{"source", stream.source},
                    {"daystream", stream.directory.string()},
                    {"slot", stream.slot},
                    {"connection", stream.conninfo}});
  }
  daystream::replace_file(*folder, file.filename().string(),
                          daystream::json_page(ordered_json{{"version", kMadeStreamsVersion},
                                                            {"streams", std::move(list)}}));
}

// As it is kept.
OwnStream entry_of(const OwnStream& stream) {
  OwnStream entry;
  entry.source = stream.source;
  entry.directory = fs::absolute(stream.directory).lexically_normal();
  entry.slot = stream.slot;
  entry.conninfo = without_passwords(stream.conninfo);
  return entry;
}

}  // namespace

std::vector<OwnStream> recorded(const std::string& mirror) {
  std::vector<OwnStream> streams;
  for (const MadeStream& made : made_streams(mirror)) {
    streams.push_back({made.source, made.directory, made.slot, made.conninfo, {}});
  }
  return streams;
}

void record(const std::string& mirror, const OwnStream& stream) {
  const OwnStream entry = entry_of(stream);
  std::vector<OwnStream> streams = recorded(mirror);
  const auto found = std::find_if(streams.begin(), streams.end(),
                                  [&](const auto& each) { return is_same(each, entry); });
  if (found == streams.end()) {
    streams.push_back(entry);
  } else if (found->source == entry.source && found->conninfo == entry.conninfo) {
    return;
  } else {
    *found = entry;
  }
  save(mirror, streams);
}

void strike_out(const std::string& mirror, const OwnStream& stream) {
  const OwnStream entry = entry_of(stream);
  std::vector<OwnStream> streams = recorded(mirror);
  if (std::erase_if(streams, [&](const auto& each) { return is_same(each, entry); }) == 0) return;
  save(mirror, streams);
}

std::string without_passwords(const std::string& conninfo) {
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(
      PQconninfoParse(conninfo.c_str(), nullptr), PQconninfoFree);
  if (!options) return {};  // to connect with it says what is wrong
  std::string out;
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr || *option->dispchar == '*') continue;
    std::string value;
    for (const char* c = option->val; *c != '\0'; ++c) {
      if (*c == '\\' || *c == '\'') value += '\\';
      value += *c;
    }
    out += fmt::format("{}{}='{}'", out.empty() ? "" : " ", option->keyword, value);
  }
  return out;
}

}  // namespace deltamirror
