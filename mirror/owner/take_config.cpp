#include "owner/take_config.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "model/names.h"
#include "program/figures.h"
#include "program/hint.h"
#include "seed/requests.h"
#include "store/absent_table.h"
#include "store/indexes.h"
#include "store/last_events.h"
#include "store/shared_table.h"

namespace deltamirror {

using daystream::ConfigError;

namespace {

// What the source is to hold.
MirrorConfig wanted_config(MirrorConfig config, const std::string& name) {
  if (config.sources.empty()) {
    for (TableRequest& wanted : config.tables) wanted.source = name;
    check_distinct({}, config.tables);
    return config;
  }
  check_distinct({}, config.all_tables());
  if (const SourceConfig* const source = config.source(name)) {
    config.tables = source->tables;
    config.sources.clear();
    return config;
  }
  throw ConfigError(fmt::format("it lacks source \"{}\" of the mirror", name),
                    "add it; without it the source leaves the mirror at the next start");
}

// On the columns that are meant. One that is new and names a column that is not there stays as it
// is: SQLite says what is wrong with it.
IndexColumns wanted_indexes(const MirroredTable& table, const TableRequest& wanted) {
  const IndexColumns wished = wish_of(table).indexes;
  IndexColumns out;
  for (const std::vector<std::string>& index : wanted.indexes) {
    const IndexColumns now = indexes_now(table, {index});
    const bool is_new = std::find(wished.begin(), wished.end(), index) == wished.end();
    if (!now.empty() || is_new) out.push_back(now.empty() ? index : now.front());
  }
  return out;
}

struct IndexChange {
  std::vector<std::string> drop;  // names
  IndexColumns create;
};

// An index of a shared table stays as long as one of its sources asks for it. One that is asked for
// of rows that are not here is made when they come.
IndexChange index_change(const Database& db, const MirroredTable& table,
                         const TableRequest& wanted) {
  IndexChange change;
  if (!has_table(db, table.name)) return change;
  IndexColumns before = table.indexes;
  IndexColumns after = wanted_indexes(table, wanted);
  if (table.is_shared()) {
    for (const MirroredTable& other : sharing(load_tables(db), table)) {
      before.insert(before.end(), other.indexes.begin(), other.indexes.end());
      after.insert(after.end(), other.indexes.begin(), other.indexes.end());
    }
  }
  for (const std::vector<std::string>& columns : table.indexes) {
    if (std::find(after.begin(), after.end(), columns) != after.end()) continue;
    change.drop.push_back(index_there(db, table, columns));
  }
  if (table.standing.hidden) return change;
  for (std::vector<std::string>& columns : after) {
    if (std::find(before.begin(), before.end(), columns) != before.end()) continue;
    change.create.push_back(std::move(columns));
  }
  return change;
}

void change_indexes(Database& db, const MirroredTable& table, const TableRequest& wanted) {
  IndexChange change = index_change(db, table, wanted);
  for (const std::string& name : change.drop) {
    db.exec("DROP INDEX IF EXISTS " + quote_name(name));
  }
  for (const std::string& sql : create_index_sql(table.name, change.create)) {
    spdlog::info("running {}: readers go on, the mirror stands still meanwhile", sql);
  }
  MirroredTable there = table;
  there.indexes = std::move(change.create);
  create_missing_indexes(db, there);
}

bool is_wished(const std::vector<MirroredTable>& tables, const TableRequest& wanted) {
  return std::any_of(tables.begin(), tables.end(), [&](const MirroredTable& table) {
    return folded(table.wish.name) == folded(name_for(wanted));
  });
}

// One that is new here is wished for, whether PostgreSQL has it or not; one that is asked for
// otherwise stays as it is until it is there as it is asked for now.
bool is_new(const std::vector<MirroredTable>& tables, const TableRequest& wanted) {
  return !wanted.table.empty() && !is_wished(tables, wanted);
}

}  // namespace

void require_no_copy(const Database& db, const MirrorConfig& config, const std::string& source) {
  const std::vector<MirroredTable> tables = load_tables_of(db, source);
  for (const TableRequest& wanted : compare(tables, wanted_config(config, source)).add) {
    if (is_new(tables, wanted)) continue;
    throw ConfigError(fmt::format("table \"{}\" is asked for otherwise than it is here, and the "
                                  "process that owns the mirror has no connection to PostgreSQL to "
                                  "copy it",
                                  name_for(wanted)),
                      "give -d CONNINFO to \"deltamirror run\", or conninfo in the configuration");
  }
}

ConfigError not_taken(const RunOptions& options, const daystream::Error& why) {
  const std::string then =
      options.fleet ? "publish one that can be taken" : "SIGHUP, or a new start, reads it again";
  return ConfigError(fmt::format("could not take configuration \"{}\", the one before stays in "
                                 "force: {}",
                                 options.config_file, why.what()),
                     daystream::program::hint_then(why.hint(), then));
}

void remember_not_taken(Database& db, const RunOptions& options, const ConfigError& error) {
  if (!options.fleet) remember_error(db, kOfConfig, error, AfterError::Waiting);
}

void check_config(Database& db, const MirrorConfig& whole, const std::string& source) {
  const MirrorConfig config = wanted_config(whole, source);
  const std::vector<MirroredTable> tables = load_tables_of(db, source);
  const ConfigChange change = compare(tables, config);
  for (const TableRequest& wanted : change.reindex) {
    const MirroredTable& table = find_table(tables, name_for(wanted));
    // To compile it is to find what is wrong with it; to make it takes as long as the table is.
    for (const std::vector<std::string>& columns : index_change(db, table, wanted).create) {
      static_cast<void>(db.prepare(create_index_sql("_deltamirror_wanted", table.name, columns)));
    }
  }
  if (!change.add.empty() || !are_all_there(load_tables(db))) return;  // it is run once all are
  const WriteTransaction taken_back(db);
  run_extra_sql(db, config.extra_sql);
}

TakenConfig take_config(Database& db, const RunOptions& options, const MirrorConfig& whole,
                        Applier& applier, bool copying) {
  const MirrorConfig config = wanted_config(whole, options.source);
  const std::vector<MirroredTable> tables = load_tables_of(db, options.source);
  ConfigChange change = compare(tables, config);

  // What SQLite may refuse comes first; the Applier hears of it when all has gone well.
  applier.open_transaction();
  for (const TableRequest& wanted : change.reindex) {
    change_indexes(db, find_table(tables, name_for(wanted)), wanted);
  }
  const std::size_t added = change.add.size();
  const bool waits = added > 0 || copying || !are_all_there(load_tables(db));
  if (!waits) run_extra_sql(db, config.extra_sql);
  for (const TableRequest& wanted : change.reindex) {
    const std::string& name = find_table(tables, name_for(wanted)).name;
    applier.tables().edit(name, [&](MirroredTable& table) {
      table.indexes = wanted_indexes(table, wanted);
      table.kept.days = wanted.keep_days;
      table.wish.text = wish_text(wanted);  // so that a later copy has them, too
    });
  }
  for (const std::string& name : change.remove) {
    applier.tables().remove(name);
    spdlog::info("removed table \"{}\", which the configuration does not name", name);
  }
  std::erase_if(change.add, [&](const TableRequest& wanted) {
    if (!is_new(tables, wanted)) return false;
    applier.tables().add_absent(absent_table(wanted));
    return true;
  });
  applier.commit();
  TakenConfig taken{
      .to_copy = std::move(change.add),
      .extra_sql = waits ? config.extra_sql : std::vector<std::string>{},
      .on_trouble = options.on_trouble.value_or(config.on_trouble.value_or(OnTrouble::Hide))};
  applier.tables().set_on_trouble(taken.on_trouble);
  spdlog::info("took configuration \"{}\": {} to copy, {} removed, {} with other indexes",
               options.config_file, daystream::program::counted(added, "table"),
               change.remove.size(), change.reindex.size());
  return taken;
}

}  // namespace deltamirror
