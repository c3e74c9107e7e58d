#include "remote/nats_dir.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "day_file.h"
#include "daystream/error.h"
#include "manifest_file.h"
#include "read_only_file.h"
#include "remote/nats_store.h"
#include "remote/text_file.h"

namespace daystream::remote {

namespace {

class DayMessages final : public ReadOnlyFile {
 public:
  DayMessages(std::shared_ptr<NatsStore> store, std::int64_t day)
      : ReadOnlyFile(store->path_of(day)), store_(std::move(store)), day_(day) {}

  std::uint64_t size() const override { return store_->size_of(day_); }
  std::size_t read_at(std::span<char> into, std::uint64_t offset) const override {
    return store_->read(day_, into, offset);
  }

 private:
  const std::shared_ptr<NatsStore> store_;
  const std::int64_t day_;
};

}  // namespace

NatsDir::NatsDir(const NatsAddress& address, const StreamKinds& kinds)
    : ReadOnlyDir(address.name()), store_(std::make_shared<NatsStore>(address, kinds)) {}
NatsDir::~NatsDir() = default;

std::unique_ptr<File> NatsDir::open(const std::string& name) {
  if (name == kManifestName) return std::make_unique<TextFile>(path_of(name), store_->manifest());
  if (name == kDurableName)
    return std::make_unique<TextFile>(path_of(name), store_->end().durable.text());
  const auto day = day_of_file_name(name);
  if (!day || name != day_file_name(*day) || !store_->has(*day)) return nullptr;
  return std::make_unique<DayMessages>(store_, *day);
}

std::vector<std::string> NatsDir::list() {
  std::vector<std::string> names;
  for (const std::int64_t day : store_->days()) names.push_back(day_file_name(day));
  names.emplace_back(kManifestName);
  names.emplace_back(kDurableName);
  std::sort(names.begin(), names.end());
  return names;
}

bool NatsDir::wait(std::chrono::milliseconds timeout, int wake_fd) {
  return store_->wait(timeout, wake_fd);
}
void NatsDir::take_news() {
  store_->take_news();
}
void NatsDir::release(std::int64_t day, std::uint64_t offset) {
  store_->release(day, offset);
}
bool NatsDir::has_chain() {
  return store_->end().has_chain;
}
void NatsDir::require_fallback() {
  store_->require_fallback();
}

Error NatsDir::refusal(const std::string& name) const {
  return Error(fmt::format("cannot change \"{}\": it is on JetStream", path_of(name)),
               "only \"daystream publish\" writes there");
}

}  // namespace daystream::remote
