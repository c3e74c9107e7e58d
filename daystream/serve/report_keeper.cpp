#include "serve/report_keeper.h"

#include <spdlog/spdlog.h>

#include <ctime>
#include <utility>

#include "daystream/error.h"
#include "program/hint.h"
#include "serve/request.h"

namespace daystream::serve {

using fleet::ReportBatch;
using fleet::ReportStore;

namespace {

constexpr std::chrono::seconds kBetweenSaves{2};

}  // namespace

ReportKeeper::ReportKeeper(event_base* loop, Workers& workers,
                           const std::filesystem::path& directory,
                           std::function<void(const std::string& mirror)> forgotten)
    : directory_(directory),
      workers_(workers),
      forgotten_(std::move(forgotten)),
      store_(std::make_shared<ReportStore>(directory)),
      reports_(open(), std::time(nullptr)),
      save_(loop, -1, true, [this] { save(); }) {
  save_.start(kBetweenSaves);
}

ReportKeeper::~ReportKeeper() {
  try {
    if (progress_) save_progress(directory_, *progress_);
    store_->save(take_batch());
  } catch (const std::exception& e) {
    spdlog::error("could not keep what mirrors report: {}", e.what());
  }
}

fleet::MirrorReports ReportKeeper::open() noexcept {
  try {
    store_->open_for_writing();
    return store_->load();
  } catch (const Error& e) {
    spdlog::error("what mirrors report is not kept: {}", program::with_hint(e.what(), e.hint()));
  } catch (const std::exception& e) {
    spdlog::error("what mirrors report is not kept: {}", e.what());
  }
  return {};
}

ReportBatch ReportKeeper::take_batch() {
  ReportBatch batch = reports_.take_batch(std::time(nullptr));
  batch.outcomes = std::exchange(outcomes_, {});
  return batch;
}

// Mirrors say again what is not known.
program::CommandOutcomes ReportKeeper::stored_outcomes() const noexcept {
  try {
    return store_->outcomes();
  } catch (const std::exception& e) {
    spdlog::error("what became of commands is not known: {}", e.what());
    return {};
  }
}

std::shared_ptr<const fleet::MirrorReport> ReportKeeper::find(const std::string& mirror) const {
  const auto found = reports_.all().find(mirror);
  return found == reports_.all().end() ? nullptr : found->second;
}

fleet::FleetView ReportKeeper::view(std::uint64_t revision) const {
  return reports_.view(std::time(nullptr), revision);
}

void ReportKeeper::keep(const fleet::RolloutProgress& progress, bool at_once) noexcept {
  progress_ = progress;
  if (at_once) save();
}

// One write at a time, of what there is when it begins.
void ReportKeeper::save() noexcept {
  if (saving_) return;
  try {
    ReportBatch batch = take_batch();
    auto progress = std::exchange(progress_, std::nullopt);
    saving_ = workers_.run({}, [this, store = store_, batch = std::move(batch),
                                progress = std::move(progress), to = directory_]() {
      std::string trouble;
      ReportStore::Forgotten forgotten;
      try {
        if (progress) save_progress(to, *progress);
        forgotten = store->save(batch);
      } catch (const std::exception& e) {
        trouble = e.what();
      }
      return [this, trouble, forgotten = std::move(forgotten)] {
        saving_ = false;
        for (const auto& [mirror, at] : forgotten) {
          spdlog::info("mirror \"{}\" is forgotten", plain(mirror));
          reports_.forget(mirror, at);
          forgotten_(mirror);
        }
        if (progress_) save();
        if (trouble.empty()) return troubles_.clear();
        const auto text = troubles_.met(trouble);
        if (text) spdlog::error("could not keep what mirrors report: {}", *text);
      };
    });
  } catch (const std::exception& e) {
    spdlog::error("{}", e.what());
  }
}

}  // namespace daystream::serve
