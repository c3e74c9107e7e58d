#include "command/table_commands.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

#include "history/history_tables.h"
#include "owner/control.h"
#include "owner/follow.h"
#include "owner/owner.h"
#include "seed/progress.h"
#include "seed/requests.h"
#include "store/checkpoint.h"
#include "store/mirror_file.h"

namespace deltamirror {

using daystream::ConfigError;
using nlohmann::json;

namespace {

// True: the owner has done it.
bool ask(const TableCommand& command, json request, const std::string& what) {
  if (command.conninfo) request["conninfo"] = *command.conninfo;
  std::optional<Progress> progress;
  const auto answer = ask_owner(command.mirror, request, [&](const json& running) {
    if (!progress) progress.emplace(what, running.value("expected_rows", -1.0));
    progress->update(running.value("rows", std::uint64_t{0}));
  });
  if (!answer) return false;
  if (progress) progress->finish(answer->value("rows", std::uint64_t{0}));
  return true;
}

void seed_by_ourselves(const TableCommand& command, std::vector<TableRequest> tables,
                       daystream::program::Signals& signals) {
  FollowOptions options;
  options.mirror = command.mirror;
  options.daystream = command.daystream.empty()
                          ? load_checkpoint(open_for_reading(command.mirror)).directory
                          : command.daystream;
  options.conninfo = command.conninfo.value_or("");
  options.seed_now = std::move(tables);
  follow(options, {.stop_requested = [&] { return signals.stop_requested(); },
                   .wake_fd = signals.fd(),
                   .signals = signals});
}

}  // namespace

void add_tables(const TableCommand& command, const MirrorConfig& config,
                daystream::program::Signals& signals) {
  json request = {{"request", "seed"}, {"tables", json::array()}};
  for (const TableRequest& table : config.tables) request["tables"].push_back(to_json(table));
  for (const MirroredTable& table : load_tables(open_for_reading(command.mirror))) {
    for (const TableRequest& wanted : config.tables) {
      if (name_for(wanted) != table.name) continue;
      throw daystream::Error(
          fmt::format("mirror \"{}\" has table \"{}\" already", command.mirror, table.name),
          "\"deltamirror reseed\" copies it anew; for a new mirror name another file");
    }
  }
  if (ask(command, request, "seeding")) return;
  seed_by_ourselves(command, config.tables, signals);
}

void reseed_tables(const TableCommand& command, const std::vector<std::string>& names,
                   daystream::program::Signals& signals) {
  const std::vector<MirroredTable> tables = load_tables(open_for_reading(command.mirror));
  // Apart, as rows without a key cannot be mended one by one.
  std::vector<std::string> with_key;
  std::vector<std::string> others;
  for (const std::string& name : names) {
    const MirroredTable& table = find_table(tables, name);
    (table.key().empty() || table.mode != TableMode::Mirror ? others : with_key)
        .push_back(table.name);
  }
  std::vector<TableRequest> requests;
  for (const auto& group : {with_key, others}) {
    if (group.empty()) continue;
    const json request = {{"request", "reseed"}, {"tables", group}, {"whole", command.whole}};
    if (ask(command, request, "seeding")) continue;
    for (const std::string& name : group) requests.push_back(request_for(find_table(tables, name)));
  }
  if (!requests.empty()) seed_by_ourselves(command, std::move(requests), signals);
}

void remove_tables(const TableCommand& command, const std::vector<std::string>& names) {
  if (ask(command, {{"request", "remove"}, {"tables", names}}, "removing")) return;
  static_cast<void>(open_for_reading(command.mirror));
  const Owner owner(command.mirror);
  Database db = open_owned(command.mirror);
  const std::vector<MirroredTable> tables = load_tables(db);
  WriteTransaction transaction(db);
  for (const std::string& asked : names) {
    const MirroredTable& table = find_table(tables, asked);
    const std::string& name = table.name;
    drop_mirrored(db, table);
    forget_table(db, name);
    spdlog::info("removed table \"{}\"", name);
  }
  transaction.commit();
}

}  // namespace deltamirror
