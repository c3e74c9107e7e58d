#include "support/memory_dir.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "daystream/error.h"

namespace support {

using daystream::File;
using daystream::IoError;

namespace {
constexpr std::size_t kSector = 512;
}

class MemoryFile final : public File {
 public:
  MemoryFile(MemoryDir& dir, std::string name, std::shared_ptr<MemoryDir::Node> node)
      : File(dir.path_of(name)), dir_(dir), name_(std::move(name)), node_(std::move(node)) {}

  std::size_t read_at(std::span<char> into, std::uint64_t offset) const override {
    if (offset >= node_->now.size()) return 0;
    const std::size_t size = std::min(into.size(), node_->now.size() - offset);
    std::memcpy(into.data(), node_->now.data() + offset, size);
    return size;
  }
  void write_at(std::string_view bytes, std::uint64_t offset) override {
    const auto put = [&](std::string_view part) {
      if (node_->now.size() < offset + part.size()) node_->now.resize(offset + part.size());
      std::memcpy(node_->now.data() + offset, part.data(), part.size());
      for (std::size_t at = offset / kSector; at * kSector < offset + part.size(); ++at) {
        node_->dirty.insert(at);
      }
      if (node_->now.size() < kSector) node_->versions.push_back(node_->now);
    };
    try {
      dir_.count_call("write file", name_);
    } catch (const IoError&) {
      put(bytes.substr(0, bytes.size() / 2));
      throw;
    }
    put(bytes);
  }
  void truncate(std::uint64_t size) override {
    dir_.count_call("cut file", name_);
    node_->now.resize(size);
  }
  void sync() override {
    const auto dirty = std::exchange(node_->dirty, {});
    dir_.count_call("sync file", name_);
    node_->synced.resize(node_->now.size());
    for (const std::size_t sector : dirty) {
      const std::size_t at = sector * kSector;
      if (at >= node_->now.size()) continue;
      node_->synced.replace(at, kSector, node_->now, at, kSector);
    }
    node_->versions.clear();
  }
  std::uint64_t size() const override { return node_->now.size(); }

 private:
  MemoryDir& dir_;
  std::string name_;
  std::shared_ptr<MemoryDir::Node> node_;
};

void MemoryDir::count_call(const char* action, const std::string& name) {
  ++calls_;
  if (fail_at_ == 0 || calls_ < fail_at_ || (calls_ > fail_at_ && !sticky_)) return;
  failed_ = true;
  throw IoError(std::string("could not ") + action + " \"" + path_of(name) + "\"", error_);
}

void MemoryDir::fail_call(std::uint64_t n, int error, bool sticky) {
  calls_ = 0;
  fail_at_ = n;
  error_ = error;
  sticky_ = sticky;
  failed_ = false;
}

std::unique_ptr<File> MemoryDir::open(const std::string& name) {
  const auto found = names_.find(name);
  if (found == names_.end()) return nullptr;
  return std::make_unique<MemoryFile>(*this, name, found->second);
}

std::unique_ptr<File> MemoryDir::open_writable(const std::string& name) {
  return open(name);
}

std::unique_ptr<File> MemoryDir::create(const std::string& name) {
  count_call("create file", name);
  if (names_.contains(name))
    throw IoError("could not create file \"" + path_of(name) + "\"", EEXIST);
  names_[name] = std::make_shared<Node>();
  return open(name);
}

void MemoryDir::rename(const std::string& from, const std::string& to) {
  count_call("replace file", to);
  names_[to] = names_.at(from);
  names_.erase(from);
}

void MemoryDir::remove(const std::string& name) {
  count_call("remove file", name);
  names_.erase(name);
}

std::vector<std::string> MemoryDir::list() {
  std::vector<std::string> names;
  for (const auto& [name, node] : names_) names.push_back(name);
  return names;
}

void MemoryDir::sync() {
  count_call("sync directory", "");
  synced_names_ = names_;
}

// What may be on the disk of a file that was not synced.
std::string MemoryDir::torn(const Node& node, std::mt19937_64& random) {
  if (!node.versions.empty() && node.now.size() < kSector && node.synced.size() < kSector) {
    // A sector is written whole: one of its versions, the synced one, or zeros never written.
    const std::size_t which = random() % (node.versions.size() + 2);
    if (which < node.versions.size()) return node.versions[which];
    if (which == node.versions.size()) return node.synced;
    return node.synced.empty() ? std::string(node.now.size(), '\0') : node.synced;
  }
  // The size may have reached the disk before the bytes, and the other way round.
  const std::size_t least = std::min(node.synced.size(), node.now.size());
  const std::size_t most = std::max(node.synced.size(), node.now.size());
  std::size_t size = most;
  if (random() % 2 == 0 && most > least) size = least + random() % (most - least + 1);
  std::string disk(size, '\0');
  const auto mood = random() % 4;  // nearly all there, nearly nothing, half, all
  for (std::size_t at = 0; at < size; at += kSector) {
    const std::size_t end = std::min(at + kSector, size);
    const auto part = [&](const std::string& from, std::size_t begin, std::size_t stop) {
      for (std::size_t i = begin; i < stop; ++i) disk[i] = i < from.size() ? from[i] : '\0';
    };
    const auto dice = random() % 16;
    const bool arrived = mood == 3 || (mood == 0 && dice != 0) || (mood == 1 && dice == 0) ||
                         (mood == 2 && dice < 8);
    part(arrived ? node.now : node.synced, at, end);
    if (!arrived && dice % 3 == 0) part(node.now, at, at + random() % (end - at));
  }
  return disk;
}

std::shared_ptr<MemoryDir> MemoryDir::after_power_loss(std::mt19937_64& random) const {
  auto after = std::make_shared<MemoryDir>(path());
  std::map<const Node*, std::shared_ptr<Node>> survived;
  const auto survive = [&](const std::string& name, const std::shared_ptr<Node>& node) {
    auto& copy = survived[node.get()];
    if (!copy) {
      copy = std::make_shared<Node>();
      copy->now = copy->synced = torn(*node, random);
    }
    after->names_[name] = copy;
  };
  std::map<std::string, int> all;
  for (const auto& [name, node] : names_) all[name];
  for (const auto& [name, node] : synced_names_) all[name];
  for (const auto& [name, unused] : all) {
    const auto now = names_.find(name);
    const auto synced = synced_names_.find(name);
    const bool same =
        now != names_.end() && synced != synced_names_.end() && now->second == synced->second;
    if (same || random() % 2 == 0) {
      if (now != names_.end()) survive(name, now->second);
    } else if (synced != synced_names_.end()) {
      survive(name, synced->second);
    }
  }
  after->synced_names_ = after->names_;
  return after;
}

std::shared_ptr<MemoryDir> MemoryDir::after_kill() const {
  auto after = std::make_shared<MemoryDir>(path());
  for (const auto& [name, node] : names_) after->names_[name] = std::make_shared<Node>(*node);
  for (const auto& [name, node] : synced_names_) {
    const auto now = names_.find(name);
    const bool same = now != names_.end() && now->second == node;
    after->synced_names_[name] = same ? after->names_[name] : std::make_shared<Node>(*node);
  }
  return after;
}

void MemoryDir::write_to(const std::filesystem::path& real) const {
  std::filesystem::create_directories(real);
  for (const auto& entry : std::filesystem::directory_iterator(real)) {
    if (!names_.contains(entry.path().filename().string())) std::filesystem::remove(entry.path());
  }
  for (const auto& [name, node] : names_) {
    std::ofstream(real / name, std::ios::binary | std::ios::trunc) << node->now;
  }
}

}  // namespace support
