#include "file_store.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <nlohmann/json.hpp>
#include <system_error>

#include "daystream/error.h"
#include "src/dir.h"
#include "src/json_text.h"

namespace daystream::sharing {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr const char* kRuleName = "group.json";
constexpr const char* kPausedName = "paused";
constexpr std::string_view kSuffix = ".json";
// So long after its end the file of a worker is no news for anybody.
constexpr std::chrono::hours kForgotten{1};

std::string file_of(std::uint64_t epoch) {
  return std::to_string(epoch).append(kSuffix);
}

// nullopt: not the name of a record.
std::optional<std::uint64_t> epoch_of(std::string_view name) {
  if (!name.ends_with(kSuffix)) return std::nullopt;
  name.remove_suffix(kSuffix.size());
  std::uint64_t epoch = 0;
  const auto read = std::from_chars(name.data(), name.data() + name.size(), epoch);
  if (read.ec != std::errc{} || read.ptr != name.data() + name.size()) return std::nullopt;
  return epoch;
}

// nullopt: there is no such file. Throws Corruption where `take_apart` cannot.
template <typename Result>
std::optional<Result> load(const std::filesystem::path& folder, const std::string& name,
                           Result (*take_apart)(const json&)) {
  const auto file = real_dir(folder)->open(name);
  if (!file) return std::nullopt;
  try {
    return take_apart(json::parse(read_whole(*file)));
  } catch (const json::exception& e) {
    throw Corruption(file->path(), 0, fmt::format("not a file of a consumer group: {}", e.what()),
                     "restore the group's folder from a copy, or drop the group and make it again");
  }
}

// Makes `name` with that text, whole and on disk. False: it is there already.
bool create_once(const std::filesystem::path& folder, const std::string& name,
                 const std::string& text) {
  static std::atomic<std::uint64_t> count{0};
  const auto dir = real_dir(folder);
  const std::string fresh = fmt::format("new.{}.{}", getpid(), count++);
  dir->remove(fresh);  // of a process that had this number
  {
    const auto file = dir->create(fresh);
    file->write_at(text, 0);
    file->sync();
  }
  const bool made = link(dir->path_of(fresh).c_str(), dir->path_of(name).c_str()) == 0;
  const int error = errno;
  dir->remove(fresh);
  if (!made && error != EEXIST) {
    throw IoError(fmt::format("could not create file \"{}\"", dir->path_of(name)), error);
  }
  dir->sync();
  return made;
}

Position position_from(const json& value) {
  const auto position = Position::parse(value.get<std::string>());
  return position ? *position : Position::begin();
}

std::string position_text(Position position) {
  return position == Position::begin() ? "" : position.text();
}

bool is_forgotten(const Member& member) {
  return member.boot != boot_id() || member.expires_at + kForgotten < boot_time();
}

Rule rule_from(const json& value) {
  Rule rule;
  rule.by = value.at("by") == by_name(By::Table) ? By::Table : By::Key;
  value.at("into").get_to(rule.into);
  value.at("tables").get_to(rule.tables);
  rule.begin = position_from(value.at("begin"));
  value.at("system_identifier").get_to(rule.system_identifier);
  return rule;
}

Member member_from(const json& value) {
  Member member;
  value.at("id").get_to(member.id);
  value.at("pid").get_to(member.pid);
  value.at("since").get_to(member.since);
  value.at("boot").get_to(member.boot);
  member.expires_at = BootTime(value.at("expires_at_boot_ns").get<std::int64_t>());
  return member;
}

PartRecord record_from(const json& value) {
  PartRecord record;
  value.at("epoch").get_to(record.epoch);
  value.at("holder").get_to(record.holder);
  value.at("boot").get_to(record.boot);
  record.expires_at = BootTime(value.at("expires_at_boot_ns").get<std::int64_t>());
  record.position = position_from(value.at("position"));
  if (value.contains("lsn")) record.lsn = Lsn::parse(value.at("lsn").get<std::string>());
  value.at("failures").get_to(record.failures);
  value.at("problem").get_to(record.problem);
  value.at("careful").get_to(record.careful);
  value.at("redeliveries").get_to(record.redeliveries);
  value.at("expired").get_to(record.expired);
  value.at("dead").get_to(record.dead);
  return record;
}

std::string text_of(const PartRecord& record) {
  ordered_json value{{"epoch", record.epoch},
                     {"holder", record.holder},
                     {"boot", record.boot},
                     {"expires_at_boot_ns", record.expires_at.count()},
                     {"position", position_text(record.position)}};
  if (record.lsn) value["lsn"] = record.lsn->text();
  value["failures"] = record.failures;
  value["problem"] = record.problem;
  value["careful"] = record.careful;
  value["redeliveries"] = record.redeliveries;
  value["expired"] = record.expired;
  value["dead"] = record.dead;
  return json_page(value);
}

}  // namespace

const char* by_name(By by) noexcept {
  return by == By::Table ? "table" : "key";
}

std::filesystem::path FileStore::folder_of(const std::filesystem::path& groups,
                                           const std::string& name) {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  };
  if (name.empty() || name.size() > 64 || !std::all_of(name.begin(), name.end(), is_plain)) {
    throw ConfigError(fmt::format("invalid name \"{}\" of a consumer group", name),
                      "a name has 1 to 64 letters, digits, \"_\" and \"-\"");
  }
  return groups / name;
}

std::vector<std::string> FileStore::names(const std::filesystem::path& groups) {
  std::vector<std::string> names;
  if (!std::filesystem::is_directory(groups)) return names;
  for (const std::string& name : real_dir(groups)->list()) {
    if (is_there(groups / name)) names.push_back(name);
  }
  return names;
}

bool FileStore::is_there(const std::filesystem::path& folder) {
  return std::filesystem::exists(folder / kRuleName);
}

void FileStore::create(const std::filesystem::path& folder, const Rule& rule) {
  for (const char* const inner : {"workers", "dead", "parts"}) make_directory(folder / inner);
  for (std::uint32_t part = 0; part < rule.into; ++part) {
    make_directory(folder / "parts" / std::to_string(part));
  }
  create_once(folder, kRuleName,
              json_page(ordered_json{{"by", by_name(rule.by)},
                                     {"into", rule.into},
                                     {"tables", rule.tables},
                                     {"begin", position_text(rule.begin)},
                                     {"system_identifier", rule.system_identifier}}));
}

FileStore::FileStore(std::filesystem::path folder) : folder_(std::move(folder)) {
  require_there();
  const auto rule = load(folder_, kRuleName, rule_from);
  if (!rule) require_there();
  rule_ = rule.value();
  // Where two made it at once, with another number of parts.
  for (std::uint32_t part = 0; part < rule_.into; ++part) make_directory(part_folder(part));
}

FileStore::~FileStore() = default;

void FileStore::require_there() const {
  if (is_there(folder_)) return;
  throw NeedsPerson(
      fmt::format("there is no consumer group \"{}\" in \"{}\"", folder_.filename().string(),
                  folder_.parent_path().string()),
      "\"daystream group STREAM list\" shows those there are; \"daystream consume --group\" with "
      "--into makes one");
}

void FileStore::drop() {
  real_dir(folder_)->remove(kRuleName);
  real_dir(folder_)->sync();
  std::filesystem::remove_all(folder_);
}

bool FileStore::is_paused() {
  require_there();
  return std::filesystem::exists(folder_ / kPausedName);
}

void FileStore::set_paused(bool paused) {
  const auto dir = real_dir(folder_);
  if (paused) {
    replace_file(*dir, kPausedName, "");
  } else {
    dir->remove(kPausedName);
    dir->sync();
  }
}

std::vector<Member> FileStore::members() {
  require_there();
  const auto dir = real_dir(folder_ / "workers");
  std::vector<Member> members;
  for (const std::string& name : dir->list()) {
    if (!name.ends_with(kSuffix)) continue;
    const auto member = load(folder_ / "workers", name, member_from);
    if (!member) continue;
    if (!is_forgotten(*member)) members.push_back(*member);
  }
  return members;
}

// Who only looks may not be allowed to write: a new worker does it.
void FileStore::remove_forgotten() const {
  const auto dir = real_dir(folder_ / "workers");
  for (const std::string& name : dir->list()) {
    if (!name.ends_with(kSuffix)) continue;
    const auto member = load(folder_ / "workers", name, member_from);
    if (member && is_forgotten(*member)) dir->remove(name);
  }
}

void FileStore::beat(const Member& member) {
  require_there();
  if (!std::filesystem::exists(folder_ / "workers" / (member.id + std::string(kSuffix)))) {
    remove_forgotten();
  }
  replace_file(*real_dir(folder_ / "workers"), member.id + std::string(kSuffix),
               json_page(ordered_json{{"id", member.id},
                                      {"pid", member.pid},
                                      {"since", member.since},
                                      {"boot", member.boot},
                                      {"expires_at_boot_ns", member.expires_at.count()}}));
}

void FileStore::leave(const std::string& id) {
  real_dir(folder_ / "workers")->remove(id + std::string(kSuffix));
}

std::filesystem::path FileStore::part_folder(std::uint32_t part) const {
  return folder_ / "parts" / std::to_string(part);
}

std::vector<std::uint64_t> FileStore::epochs(std::uint32_t part) const {
  require_there();
  std::vector<std::uint64_t> epochs;
  for (const std::string& name : real_dir(part_folder(part))->list()) {
    if (const auto epoch = epoch_of(name)) epochs.push_back(*epoch);
  }
  std::sort(epochs.begin(), epochs.end());
  return epochs;
}

// The highest one is never removed, but one that was seen may be, once two more are there.
PartRecord FileStore::part(std::uint32_t part) {
  for (;;) {
    const auto all = epochs(part);
    if (all.empty()) break;
    if (auto found = record(part, all.back())) return *std::move(found);
  }
  PartRecord none;
  none.position = rule_.begin;
  return none;
}

std::optional<PartRecord> FileStore::record(std::uint32_t part, std::uint64_t epoch) {
  return load(part_folder(part), file_of(epoch), record_from);
}

// The number may have been used and removed again since it was seen to be free: then higher ones
// are there.
bool FileStore::take(std::uint32_t part, const PartRecord& next) {
  if (!create_once(part_folder(part), file_of(next.epoch), text_of(next))) return false;
  const auto all = epochs(part);
  const auto dir = real_dir(part_folder(part));
  if (all.back() > next.epoch) {
    dir->remove(file_of(next.epoch));
    return false;
  }
  for (const std::uint64_t epoch : all) {
    if (epoch + 1 < next.epoch) dir->remove(file_of(epoch));
  }
  return true;
}

// First the record, then the look: who creates a higher one after the look reads this one.
bool FileStore::keep(std::uint32_t part, const PartRecord& mine) {
  if (epochs(part).back() > mine.epoch) return false;
  replace_file(*real_dir(part_folder(part)), file_of(mine.epoch), text_of(mine));
  return epochs(part).back() == mine.epoch;
}

}  // namespace daystream::sharing
