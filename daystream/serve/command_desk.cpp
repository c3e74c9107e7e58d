#include "serve/command_desk.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "program/hint.h"
#include "serve/request.h"

namespace daystream::serve {

using fleet::FleetCommand;

CommandDesk::CommandDesk(const std::filesystem::path& fleet, ReportKeeper& reports)
    : directory_(fleet), reports_(reports), book_(reports.stored_outcomes()) {
  look();
}

bool CommandDesk::look() noexcept {
  try {
    if (!watch_) {
      if (!directory_.exists()) return false;
      watch_.emplace(directory_.path(), DurableWatch::kAnyName);
    }
    if (!watch_->wait(std::chrono::milliseconds(0), -1)) return false;
    read();
    return true;
  } catch (const std::exception& e) {
    const auto text = troubles_.met(e.what());
    if (text) spdlog::error("could not read the fleet's commands: {}", *text);
    return false;
  }
}

void CommandDesk::read() {
  std::vector<std::string> damaged;
  std::vector<FleetCommand> all = directory_.load(&damaged);
  if (!damaged.empty()) {
    const NeedsPerson error = fleet::damaged_commands(damaged);
    const auto text = troubles_.met(error.what());
    if (text) spdlog::error("{}", program::with_hint(*text, error.hint()));
  }
  const std::uint64_t newest = book_.all().empty() ? 0 : book_.all().back().number;
  for (const FleetCommand& each : all) {
    if (each.number <= newest || !each.is_open(std::time(nullptr))) continue;
    spdlog::info("command {} by {} for \"{}\": {}", each.number, plain(each.command.author),
                 plain(each.name),
                 program::command_words(each.command.kind, each.command.arguments));
  }
  book_.hear(std::move(all));
}

nlohmann::ordered_json CommandDesk::tell(const fleet::MirrorReport& report) {
  for (program::CommandOutcome& outcome : book_.tell(report)) {
    spdlog::info("command {} at \"{}\": {}{}{}", outcome.id, plain(report.name), outcome.state,
                 outcome.result.empty() ? "" : ": ", outcome.result);
    reports_.keep(report.name, std::move(outcome));
  }
  return book_.orders_for(report, std::time(nullptr));
}

std::uint64_t CommandDesk::newest_for(const std::string& mirror) const {
  const auto report = reports_.find(mirror);
  return report ? book_.newest_for(*report, std::time(nullptr)) : 0;
}

std::shared_ptr<const nlohmann::ordered_json> CommandDesk::summary(
    const fleet::FleetView& view) const {
  return std::make_shared<const nlohmann::ordered_json>(book_.summary(view));
}

}  // namespace daystream::serve
