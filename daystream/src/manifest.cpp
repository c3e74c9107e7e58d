#include "daystream/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <random>

#include "day_file.h"
#include "daystream/error.h"
#include "daystream/line.h"
#include "dir.h"
#include "json_text.h"
#include "manifest_file.h"
#include "manifest_json.h"

namespace daystream {

namespace {

constexpr const char* kManifestHint = "bring daystream.json back from a copy of the daystream";

using nlohmann::json;
using nlohmann::ordered_json;  // what we write keeps the order people read it in

ordered_json to_json(const Holding& holding) {
  ordered_json options = ordered_json::object();
  for (const auto& [key, value] : holding.options) options[key] = value;
  return {{"since", holding.since.text()}, {"tables", holding.tables}, {"options", options}};
}

Holding holding_from_json(const json& value) {
  Holding holding;
  const auto since = value.at("since").get<std::string>();
  const auto position = Position::parse(since);
  if (!position)
    throw ConfigError(fmt::format("\"since\" is not a position: \"{}\"", since), kManifestHint);
  holding.since = *position;
  value.at("tables").get_to(holding.tables);
  for (const auto& [key, option] : value.at("options").items()) {
    holding.options.emplace_back(key, option.get<std::string>());
  }
  return holding;
}

}  // namespace

std::optional<Holding> Holding::of_mark(std::string_view fields) {
  std::optional<Holding> holding;
  std::string_view key;
  std::string_view value;
  for (FieldCursor cursor(fields); cursor.next(key, value);) {
    if (!holding) holding.emplace();
    if (key == "tables") {
      holding->tables = unescape(value);
    } else {
      holding->options.emplace_back(unescape(key), unescape(value));
    }
  }
  return holding;
}

std::vector<std::pair<std::string, std::string>> Holding::fields() const {
  std::vector<std::pair<std::string, std::string>> fields = {{"tables", tables}};
  fields.insert(fields.end(), options.begin(), options.end());
  return fields;
}

bool Holding::same_filter(const Holding& other) const {
  auto ours = options;
  auto theirs = other.options;
  std::sort(ours.begin(), ours.end());
  std::sort(theirs.begin(), theirs.end());
  return tables == other.tables && ours == theirs;
}

bool Holding::holds(std::string_view table) const {
  const std::string_view excluded = excluded_tables();
  if (!excluded.empty() && table_list_matches(excluded, table)) return false;
  return tables.empty() || table_list_matches(tables, table);
}

std::string_view Holding::excluded_tables() const {
  for (const auto& [option, value] : options) {
    if (option == "exclude-tables") return value;
  }
  return {};
}

bool Holding::by_root() const {
  return std::find(options.begin(), options.end(),
                   std::pair<std::string, std::string>("partition-root", "on")) != options.end();
}

std::string new_stream_id() {
  std::random_device random;
  std::string id;
  for (int i = 0; i < 4; ++i) id += fmt::format("{:08x}", random());
  return id;
}

Manifest load_manifest(Dir& dir) {
  const auto file = dir.open(kManifestName);
  if (!file) {
    throw IoError(fmt::format("could not open file \"{}\"", dir.path_of(kManifestName)), ENOENT,
                  "a daystream is a directory that deltastream has written to");
  }
  return parse_manifest(read_whole(*file), file->path(), dir.path().string());
}

Manifest manifest_from_json(const json& value, const std::string& directory) {
  Manifest manifest;
  value.at("format").get_to(manifest.format);
  if (manifest.format != kFormatVersion) {
    throw WrongSource(fmt::format("daystream \"{}\" has format {}, this program reads format {}",
                                  directory, manifest.format, kFormatVersion),
                      "use a program of the version that wrote it, or a later one");
  }
  value.at("name").get_to(manifest.name);
  value.at("system_identifier").get_to(manifest.system_identifier);
  value.at("database").get_to(manifest.database);
  value.at("slot").get_to(manifest.slot);
  manifest.id = value.value("id", "");
  value.at("created").get_to(manifest.created);
  if (const auto begun = value.find("begun"); begun != value.end()) {
    manifest.begun = Lsn::parse(begun->get<std::string>());
    if (!manifest.begun) throw ConfigError("\"begun\" is not an LSN", kManifestHint);
  }
  for (const json& holding : value.at("holdings")) {
    manifest.holdings.push_back(holding_from_json(holding));
  }
  if (const auto found = value.find("sources"); found != value.end()) {
    for (const json& source : *found) {
      manifest.sources.push_back(
          {source.at("name").get<std::string>(), source.at("system_identifier").get<std::string>(),
           source.at("database").get<std::string>(), source.at("slot").get<std::string>()});
    }
  }
  const auto kept = [&value](const char* key, std::optional<std::uint64_t>& to) {
    if (const auto found = value.find(key); found != value.end()) to = found->get<std::uint64_t>();
  };
  kept("keep_days", manifest.keep_days);
  kept("keep_bytes", manifest.keep_bytes);
  if (manifest.holdings.empty()) throw ConfigError("\"holdings\" is empty", kManifestHint);
  return manifest;
}

Manifest parse_manifest(const std::string& text, const std::string& path,
                        const std::string& directory) {
  try {
    return manifest_from_json(json::parse(text), directory);
  } catch (const json::parse_error& e) {
    throw Corruption(path, e.byte, "not JSON");
  } catch (const json::exception& e) {
    throw Corruption(path, 0, fmt::format("not a manifest: {}", e.what()));
  } catch (const ConfigError& e) {
    throw Corruption(path, 0, fmt::format("not a manifest: {}", e.what()));
  }
}

ordered_json to_json(const Manifest& manifest) {
  ordered_json value;
  value["format"] = manifest.format;
  value["name"] = manifest.name;
  value["system_identifier"] = manifest.system_identifier;
  value["database"] = manifest.database;
  value["slot"] = manifest.slot;
  if (!manifest.id.empty()) value["id"] = manifest.id;
  value["created"] = manifest.created;
  if (manifest.begun) value["begun"] = manifest.begun->text();
  value["holdings"] = ordered_json::array();
  for (const Holding& holding : manifest.holdings) value["holdings"].push_back(to_json(holding));
  for (const MergedSource& source : manifest.sources) {
    value["sources"].push_back(ordered_json{{"name", source.name},
                                            {"system_identifier", source.system_identifier},
                                            {"database", source.database},
                                            {"slot", source.slot}});
  }
  if (manifest.keep_days) value["keep_days"] = *manifest.keep_days;
  if (manifest.keep_bytes) value["keep_bytes"] = *manifest.keep_bytes;
  return value;
}

void save_manifest(Dir& dir, const Manifest& manifest) {
  const ordered_json value = to_json(manifest);
  const std::string text = json_page(value);
  replace_file(dir, std::string(kManifestName), text);
}

void require_same_source(const std::string& one, const SourceIdentity& of_one,
                         const std::string& other, const SourceIdentity& of_other,
                         const std::string& hint, Pipe pipe) {
  const bool from_pipe = of_one.system_identifier.empty();
  if (pipe == Pipe::IsAnother && from_pipe != of_other.system_identifier.empty()) {
    throw WrongSource(
        fmt::format("{} {} read from a pipe, unlike {}", one, from_pipe ? "was" : "was not", other),
        hint);
  }
  const auto differ = [](const std::string& a, const std::string& b) {
    return !a.empty() && !b.empty() && a != b;
  };
  if (differ(of_one.system_identifier, of_other.system_identifier)) {
    throw WrongSource(
        fmt::format(
            "{} is of another cluster (system identifier {}) than {} (system identifier {})", one,
            of_one.system_identifier, other, of_other.system_identifier),
        hint);
  }
  const auto check = [&](const char* what, const std::string& a, const std::string& b) {
    if (!differ(a, b)) return;
    throw WrongSource(fmt::format("{} is of {} \"{}\", not \"{}\" as {}", one, what, a, b, other),
                      hint);
  };
  check("database", of_one.database, of_other.database);
  check("slot", of_one.slot, of_other.slot);
}

const Holding* Manifest::holding_at(const Position& position) const noexcept {
  const Holding* found = nullptr;
  for (const Holding& holding : holdings) {
    if (holding.since <= position) found = &holding;
  }
  return found;
}

void Manifest::require_one_database(const std::string& address, const std::string& advice) const {
  if (sources.empty()) return;
  std::string names;
  for (const MergedSource& source : sources) {
    names += (names.empty() ? "\"" : ", \"") + source.name + "\"";
  }
  throw NeedsPerson(
      fmt::format("daystream \"{}\" is merged of several databases: {}", address, names), advice);
}

Manifest Manifest::load(const std::filesystem::path& directory) {
  return load_manifest(*real_dir(directory));
}

void Manifest::save(const std::filesystem::path& directory) const {
  save_manifest(*real_dir(directory), *this);
}

}  // namespace daystream
