#include "split_catalog.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "crc32c.h"
#include "daystream/error.h"
#include "dir.h"
#include "json_text.h"

namespace daystream::command {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::array<const char*, 3> kByNames = {"table", "schema", "key"};

Lsn lsn_from(const json& value) {
  const auto lsn = Lsn::parse(value.get<std::string>());
  if (!lsn)
    throw ConfigError(
        fmt::format("not an LSN: {}", value.dump()),
        "it was not written by \"daystream split\": remove the folder, and split again");
  return *lsn;
}

SplitTable table_from(const json& told) {
  SplitTable table;
  table.lsn = lsn_from(told.at("lsn"));
  told.at("oid").get_to(table.oid);
  told.at("table").get_to(table.table);
  told.at("key").get_to(table.key);
  return table;
}

std::string text_of(const SplitTable& table) {
  const ordered_json told{
      {"lsn", table.lsn.text()}, {"oid", table.oid}, {"table", table.table}, {"key", table.key}};
  return json_line(told);
}

template <typename Number>
void put(ordered_json& object, const char* key, const std::optional<Number>& value) {
  if (value) object[key] = *value;
}

template <typename Number>
std::optional<Number> get(const json& object, const char* key) {
  if (!object.contains(key)) return std::nullopt;
  return object.at(key).get<Number>();
}

}  // namespace

std::string split_by_name(SplitBy by) {
  return kByNames[static_cast<std::size_t>(by)];
}

std::optional<std::filesystem::path> split_directory(const Stream& stream) {
  auto directory = stream.directory();
  if (directory && !std::filesystem::exists(*directory / kSplitName)) directory.reset();
  return directory;
}

std::optional<SplitCatalog> split_of(const Stream& stream) {
  const auto directory = split_directory(stream);
  return directory ? SplitCatalog::load(*directory) : std::nullopt;
}

SourceIdentity source_of(const Stream& stream) {
  if (const auto catalog = split_of(stream)) return catalog->source();
  const Manifest manifest = stream.manifest();
  manifest.require_one_database(stream.address(), "merge the inputs that it was made of");
  return {manifest.system_identifier, manifest.database, {}};
}

std::optional<SplitCatalog> SplitCatalog::load(const std::filesystem::path& directory) {
  const auto file = real_dir(directory)->open(kSplitName);
  if (!file) return std::nullopt;
  SplitCatalog catalog;
  try {
    const json value = json::parse(read_whole(*file));
    const auto by = value.at("by").get<std::string>();
    for (std::size_t i = 0; i < kByNames.size(); ++i) {
      if (by == kByNames[i]) catalog.rule.by = static_cast<SplitBy>(i);
    }
    value.at("into").get_to(catalog.rule.into);
    value.at("tables").get_to(catalog.rule.tables);
    value.at("system_identifier").get_to(catalog.system_identifier);
    value.at("database").get_to(catalog.database);
    value.at("source_tables").get_to(catalog.source_tables);
    catalog.has_tables = value.contains("schemas");
    const json& begin = value.at("begin");
    catalog.begin.lsn = lsn_from(begin.at("lsn"));
    catalog.begin.next = get<std::uint64_t>(begin, "next");
    catalog.begin.timeline = get<std::uint32_t>(begin, "timeline");
  } catch (const json::exception& e) {
    throw Corruption(file->path(), 0, fmt::format("not the file of a split: {}", e.what()));
  } catch (const ConfigError& e) {
    throw Corruption(file->path(), 0, fmt::format("not the file of a split: {}", e.what()));
  }
  return catalog;
}

void SplitCatalog::save(const std::filesystem::path& directory) const {
  ordered_json value;
  value["by"] = split_by_name(rule.by);
  value["into"] = rule.into;
  value["tables"] = rule.tables;
  value["system_identifier"] = system_identifier;
  value["database"] = database;
  value["source_tables"] = source_tables;
  value["begin"] = {{"lsn", begin.lsn.text()}};
  put(value["begin"], "next", begin.next);
  put(value["begin"], "timeline", begin.timeline);
  replace_file(*real_dir(directory), std::string(kSplitName), json_page(value));
}

SplitTables::SplitTables(const std::filesystem::path& directory, std::vector<SplitTable> tables)
    : tables_(std::move(tables)), saved_(tables_.size()) {
  std::string text;
  for (const SplitTable& table : tables_) text += text_of(table);
  size_ = text.size();
  const auto dir = real_dir(directory);
  replace_file(*dir, std::string(kSplitTablesName), text);
  file_ = dir->open_writable(std::string(kSplitTablesName));
}

SplitTables SplitTables::begin(const std::filesystem::path& directory) {
  return {directory, {}};
}

SplitTables SplitTables::load(const std::filesystem::path& directory, Lsn to) {
  const auto dir = real_dir(directory);
  std::vector<SplitTable> tables;
  const auto add = [&](const json& told) {
    SplitTable table = table_from(told);
    if (table.lsn <= to) tables.push_back(std::move(table));
  };
  if (const auto file = dir->open(kSplitTablesName)) {
    const std::string text = read_whole(*file);
    std::size_t at = 0;
    try {
      for (std::size_t end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
        add(json::parse(text.begin() + static_cast<std::ptrdiff_t>(at),
                        text.begin() + static_cast<std::ptrdiff_t>(end)));
      }
    } catch (const json::exception& e) {
      throw Corruption(file->path(), at, fmt::format("not a table of a split: {}", e.what()));
    } catch (const ConfigError& e) {
      throw Corruption(file->path(), at, fmt::format("not a table of a split: {}", e.what()));
    }
    return {directory, std::move(tables)};
  }
  // A split that an earlier version made has the tables in split.json.
  const auto file = dir->open(kSplitName);
  try {
    const json catalog = json::parse(read_whole(*file));
    for (const json& told : catalog.at("schemas")) add(told);
  } catch (const json::exception&) {
    throw Corruption(dir->path_of(kSplitTablesName), 0, "the file is not there");
  }
  return {directory, std::move(tables)};
}

void SplitTables::save() {
  std::string text;
  for (; saved_ < tables_.size(); ++saved_) text += text_of(tables_[saved_]);
  if (text.empty()) return;
  file_->write_at(text, size_);
  file_->sync();
  size_ += text.size();
}

std::string part_folder(const std::string& name) {
  std::string folder;
  for (const char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '-' || (c == '.' && !folder.empty());
    folder += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  constexpr std::size_t kMost = 200;  // file systems allow 255
  if (folder.size() > kMost) {
    folder.resize(kMost);
    folder += fmt::format("~{:08x}", extend_crc(0, name));
  }
  return folder;
}

std::string schema_of(const std::string& table) {
  bool in_quotes = false;
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (table[i] == '"') in_quotes = !in_quotes;
    if (table[i] == '.' && !in_quotes) return table.substr(0, i);
  }
  return "public";
}

}  // namespace daystream::command
