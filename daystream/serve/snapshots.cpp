#include "serve/snapshots.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <optional>

#include "daystream/error.h"
#include "program/sha256.h"

namespace daystream::serve {

namespace {

constexpr std::size_t kDigits = 64;

std::optional<struct stat> stat_of(const std::filesystem::path& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return status;
}

std::int64_t changed_ns(const struct stat& status) {
  return std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
}

// The id that stands in the file beside `path`; empty: there is none of use.
std::string id_beside(const std::filesystem::path& path, std::int64_t changed) {
  const std::filesystem::path beside = path.string() + ".sha256";
  const auto status = stat_of(beside);
  if (!status || changed_ns(*status) < changed) return {};
  std::ifstream file(beside);
  std::string id;
  file >> id;
  const bool good =
      id.size() == kDigits && id.find_first_not_of("0123456789abcdef") == std::string::npos;
  return good ? id : "";
}

}  // namespace

Snapshots::Snapshots(std::filesystem::path directory) : directory_(std::move(directory)) {
  if (!std::filesystem::is_directory(directory_)) {
    throw ConfigError(fmt::format("\"{}\" is no directory of snapshots", directory_.string()),
                      "name the directory that \"deltamirror snapshot\" was given");
  }
  thread_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
  // The ids of the files that are there now will be known by the time that somebody asks.
  std::size_t preparing = 0;
  list(preparing);
}

std::string Snapshots::key_of(const Entry& entry) {
  return fmt::format("{}\n{}\n{}", entry.path.string(), entry.size_bytes, entry.changed_ns);
}

std::vector<Snapshots::Entry> Snapshots::scan() const {
  std::vector<Entry> entries;
  std::error_code error;
  for (const auto& found : std::filesystem::directory_iterator(directory_, error)) {
    const std::filesystem::path& path = found.path();
    const auto status = stat_of(path);
    if (path.extension() != ".db" || !status) continue;
    const auto log = stat_of(path.string() + "-wal");
    if (log && log->st_size > 0) continue;
    entries.push_back({path, static_cast<std::uint64_t>(status->st_size), changed_ns(*status)});
  }
  if (error)
    throw IoError(fmt::format("could not read directory \"{}\"", directory_.string()),
                  error.value());
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.changed_ns, a.path) > std::pair(b.changed_ns, b.path);
  });
  return entries;
}

// Empty: it is not known yet, and is being computed from now on.
std::string Snapshots::known_id(const Entry& entry) {
  const std::string key = key_of(entry);
  const std::lock_guard lock(mutex_);
  if (const auto found = ids_.find(key); found != ids_.end()) return found->second;
  if (std::string id = id_beside(entry.path, entry.changed_ns); !id.empty()) {
    return ids_[key] = std::move(id);
  }
  ids_[key];
  queue_.push_back(entry);
  wanted_.notify_one();
  return {};
}

std::vector<Snapshot> Snapshots::list(std::size_t& preparing) {
  std::vector<Snapshot> snapshots;
  preparing = 0;
  for (const Entry& entry : scan()) {
    const std::string id = known_id(entry);
    if (id.empty()) {
      ++preparing;
    } else {
      snapshots.push_back({id, entry.size_bytes, entry.changed_ns / 1'000'000'000});
    }
  }
  return snapshots;
}

UniqueFd Snapshots::open(const std::string& id) {
  for (const Entry& entry : scan()) {
    if (known_id(entry) != id) continue;
    UniqueFd fd(::open(entry.path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) throw IoError(fmt::format("could not open file \"{}\"", entry.path.string()), errno);
    return fd;
  }
  return UniqueFd();
}

void Snapshots::work(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  for (;;) {
    wanted_.wait(lock, stop, [this] { return !queue_.empty(); });
    if (stop.stop_requested()) return;
    const Entry entry = queue_.front();
    queue_.erase(queue_.begin());
    lock.unlock();
    std::string id;
    try {
      id = program::sha256_of_file(entry.path, stop);
    } catch (const std::exception& e) {
      spdlog::warn("{}", e.what());
    }
    lock.lock();
    if (id.empty()) {
      ids_.erase(key_of(entry));  // to be tried again when somebody asks
    } else {
      ids_[key_of(entry)] = id;
    }
  }
}

}  // namespace daystream::serve
