// What an owner is asked for: over its control socket, and by its configuration.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "model/names.h"
#include "owner/owner_work.h"
#include "seed/requests.h"
#include "store/absent_table.h"
#include "store/shared_table.h"

namespace deltamirror {

using daystream::ConfigError;
using daystream::Error;
using nlohmann::json;

void OwnerWork::handle(const SourceRequest& request, Applier& applier) {
  try {
    const std::string verb = request.asked.value("request", "");
    if (verb == "seed") add_tables(request);
    if (verb == "reseed") reseed_tables(request);
    if (verb == "remove") remove_tables(request, applier);
  } catch (const Error& e) {
    server_->failed(request.client, e);
  } catch (const json::exception& e) {
    server_->failed(request.client, ConfigError(fmt::format("bad request: {}", e.what())));
  }
}

namespace {

std::optional<std::string> conninfo_of(const json& asked) {
  if (!asked.contains("conninfo")) return std::nullopt;
  return asked["conninfo"].get<std::string>();
}

}  // namespace

void OwnerWork::add_tables(const SourceRequest& request) {
  MirrorConfig config =
      parse_config(json{{"tables", request.asked.at("tables")}}.dump(), "request");
  for (TableRequest& wanted : config.tables) wanted.source = options_.source;
  for (const MirroredTable& table : load_tables_of(db_, options_.source)) {
    for (const TableRequest& wanted : config.tables) {
      if (name_for(wanted) != table.name) continue;
      throw ConfigError(fmt::format("the mirror has table \"{}\" already", table.name),
                        "\"deltamirror reseed\" copies it anew");
    }
  }
  want(config.tables, connection(conninfo_of(request.asked)), request.client);
}

void OwnerWork::reseed_tables(const SourceRequest& request) {
  const std::vector<MirroredTable> tables = load_tables_of(db_, options_.source);
  std::vector<TableRequest> wanted;
  for (const json& name : request.asked.at("tables")) {
    wanted.push_back(wish_of(find_table(tables, name.get<std::string>())));
  }
  if (wanted.empty()) throw ConfigError("no table specified");
  want(std::move(wanted), connection(conninfo_of(request.asked)), request.client).only_rows =
      !request.asked.value("whole", false);
}

void OwnerWork::remove_tables(const SourceRequest& request, Applier& applier) {
  const std::vector<MirroredTable> tables = load_tables_of(db_, options_.source);
  std::vector<std::string> names;
  for (const json& name : request.asked.at("tables")) {
    names.push_back(find_table(tables, name.get<std::string>()).name);
  }
  for (const std::string& name : names) {
    applier.remove(name);
    spdlog::info("removed table \"{}\"", name);
  }
  if (applier.pending()) applier.commit();
  server_->done(request.client, json::object());
}

json OwnerWork::status() const {
  const Checkpoint at = load_checkpoint(db_, options_.source);
  json out = {{"source", at.source},
              {"position", at.position.text()},
              {"lsn", at.lsn.text()},
              {"stalled", stalled_},
              {"waiting", waiting_.size()}};
  if (seed_) {
    json tables = json::array();
    for (const TableRequest& table : job_->request.config.tables) tables.push_back(name_for(table));
    out["seeding"] = {{"tables", tables}, {"rows", seed_->rows()}};
  }
  return out;
}

// What the source is to hold.
MirrorConfig OwnerWork::wanted_config() const {
  MirrorConfig config = load_config(options_.config_file);
  if (config.sources.empty()) {
    for (TableRequest& wanted : config.tables) wanted.source = options_.source;
    return config;
  }
  check_distinct({}, config.all_tables());
  for (SourceConfig& source : config.sources) {
    if (source.name != options_.source) continue;
    config.tables = std::move(source.tables);
    config.sources.clear();
    return config;
  }
  throw ConfigError(fmt::format("it lacks source \"{}\" of the mirror", options_.source));
}

// All is checked before anything is changed: a configuration is taken whole or not at all.
void OwnerWork::reload(Applier& applier) {
  if (options_.config_file.empty()) return;
  try {
    const MirrorConfig config = wanted_config();
    const std::vector<MirroredTable> tables = load_tables_of(db_, options_.source);
    check_distinct({}, config.tables);
    ConfigChange change = compare(tables, config);

    // What SQLite may refuse comes first; the Applier hears of it when all has gone well.
    applier.open_transaction();
    for (const TableRequest& wanted : change.reindex) {
      change_indexes(find_table(tables, name_for(wanted)), wanted);
    }
    if (change.add.empty() && !copying()) run_extra_sql(db_, config.extra_sql);
    for (const TableRequest& wanted : change.reindex) {
      const std::string& name = find_table(tables, name_for(wanted)).name;
      applier.set_indexes(name, wanted.indexes);
      applier.set_keep_days(name, wanted.keep_days);
    }
    for (const std::string& name : change.remove) {
      applier.remove(name);
      spdlog::info("removed table \"{}\", which the configuration does not name", name);
    }
    // A table that is new here is wished for from now on, whether PostgreSQL has it or not; one
    // that is asked for otherwise stays as it is until it is there as it is asked for now.
    const std::size_t added = change.add.size();
    std::erase_if(change.add, [&](const TableRequest& wanted) {
      const bool is_new =
          !wanted.table.empty() &&
          std::none_of(tables.begin(), tables.end(), [&](const MirroredTable& table) {
            return folded(table.wished_name) == folded(name_for(wanted));
          });
      if (is_new) applier.add_absent(absent_table(wanted));
      return is_new;
    });
    applier.commit();
    on_trouble_ = options_.on_trouble.value_or(config.on_trouble.value_or(OnTrouble::Hide));
    applier.set_on_trouble(on_trouble_);
    if (!change.add.empty()) want(change.add, connection(std::nullopt), 0);
    if (added > 0 || copying()) extra_sql_ = config.extra_sql;
    spdlog::info("took configuration \"{}\": {} tables to copy, {} removed, {} with other indexes",
                 options_.config_file, added, change.remove.size(), change.reindex.size());
  } catch (const Error& e) {
    applier.give_up();
    spdlog::error("could not take configuration \"{}\", the one before stays in force: {}",
                  options_.config_file, e.what());
  }
}

std::vector<std::string> OwnerWork::tables_to_come() const {
  std::vector<std::string> names;
  const auto add = [&names](const Job& job) {
    for (const TableRequest& table : job.request.config.tables) names.push_back(table.table);
  };
  if (job_) add(*job_);
  for (const Job& job : waiting_) add(job);
  return names;
}

// An index of a shared table stays as long as one of its sources asks for it.
void OwnerWork::change_indexes(const MirroredTable& table, const TableRequest& wanted) {
  MirroredTable then = table;
  then.indexes = wanted.indexes;
  auto before = create_index_sql(table);
  auto after = create_index_sql(then);
  if (table.is_shared()) {
    for (const MirroredTable& other : sharing(load_tables(db_), table)) {
      for (std::string& sql : create_index_sql(other)) {
        before.push_back(sql);
        after.push_back(std::move(sql));
      }
    }
  }
  for (std::size_t i = 0; i < table.indexes.size(); ++i) {
    if (std::find(after.begin(), after.end(), before[i]) != after.end()) continue;
    db_.exec("DROP INDEX IF EXISTS " + quote_name(index_there(db_, table, table.indexes[i])));
  }
  for (const std::string& sql : after) {
    if (std::find(before.begin(), before.end(), sql) != before.end()) continue;
    spdlog::info("running {}: readers go on, the mirror stands still meanwhile", sql);
    db_.exec(sql);
  }
}

}  // namespace deltamirror
