#include "owner/owner_work.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "apply/needs_reseed.h"
#include "config/fleet_config.h"
#include "history/history_tables.h"
#include "owner/stream_keeper.h"
#include "owner/take_config.h"
#include "program/hint.h"
#include "seed/rehearsal.h"
#include "seed/requests.h"
#include "store/absent_table.h"

namespace deltamirror {

using daystream::ConfigError;
using daystream::Error;
using nlohmann::json;

OwnerWork::OwnerWork(Database& db, const RunOptions& options, const RunControl& control,
                     ControlServer* server, CommitFeed* feed)
    : db_(db),
      options_(options),
      server_(server),
      feed_(feed),
      copies_(db, options, control, server, feed),
      on_trouble_(options.on_trouble.value_or(OnTrouble::Hide)) {
  copies_.set_on_tables([this](const std::vector<SeedTable>& coming) { rehearse_with(coming); });
  if (options_.end.seed_now.empty()) return;
  copies_.ask(options_.end.seed_now, connection(std::nullopt), 0).required = true;
}

bool OwnerWork::step(Applier& applier) {
  if (const auto reload = inbox_.take_reload()) {
    copies_.try_now();
    if (*reload != nullptr) take(**reload, applier);
  }
  while (const auto request = inbox_.take_request()) handle(*request, applier);
  if (applier.pending()) return true;  // to be committed first
  const bool more = copies_.step(applier);
  if (copies_.take_ended() && !copies_.any()) run_extra_sql_of_copies();
  return more;
}

// What somebody has to mend is said before the rows come, which may take hours.
void OwnerWork::rehearse_with(const std::vector<SeedTable>& coming) {
  if (extra_sql_.empty()) return;
  std::vector<MirroredTable> others = load_tables(db_);
  std::erase_if(others, [&](const MirroredTable& table) {
    return std::any_of(coming.begin(), coming.end(), [&](const SeedTable& seeded) {
      return seeded.mirrored.source == table.source && seeded.mirrored.wish.name == table.wish.name;
    });
  });
  if (!are_all_there(others)) return;
  try {
    rehearse(db_, coming, extra_sql_);
  } catch (const ConfigError& e) {
    give_up_extra_sql(e);
  } catch (const Error& e) {
    // It is run in any case, once the rows are here.
    spdlog::debug("could not try extra_sql before: {}", e.what());
  }
}

void OwnerWork::give_up_extra_sql(const Error& error) {
  extra_sql_.clear();
  spdlog::error("{}", daystream::program::with_hint(error.what(), error.hint()));
}

// While tables are away, what can do without them does not wait for them.
void OwnerWork::run_extra_sql_of_copies() {
  if (extra_sql_.empty()) return;
  const auto run = [this](const std::vector<std::string>& sqls) {
    WriteTransaction transaction(db_);
    run_extra_sql(db_, sqls);
    transaction.commit();
  };
  if (are_all_there(load_tables(db_))) {
    try {
      run(extra_sql_);
      extra_sql_.clear();
    } catch (const ConfigError& e) {
      give_up_extra_sql(e);
    }
    return;
  }
  for (const std::string& sql : extra_sql_) {
    try {
      run({sql});
    } catch (const ConfigError& e) {
      const auto text = waits_.met(fmt::format("\"{}\" waits until all tables are there", sql));
      if (text) spdlog::info("{}: {}", *text, e.what());
    }
  }
}

void OwnerWork::committed(const Checkpoint& at) {
  copies_.committed();
  if (feed_ != nullptr) feed_->committed(at);
}

void OwnerWork::rolled_back() noexcept {
  copies_.rolled_back();
  if (feed_ != nullptr) feed_->rolled_back();
}

const std::string& OwnerWork::connection(const std::optional<std::string>& given) const {
  if (given) return *given;
  if (options_.conninfo) return *options_.conninfo;
  throw ConfigError("the process that owns the mirror has no connection to PostgreSQL",
                    "give -d CONNINFO with the request, or to \"deltamirror run\"");
}

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

const json& tables_asked(const json& asked) {
  const auto found = asked.find("tables");
  if (found != asked.end() && found->is_array()) return *found;
  throw ConfigError("the request names no tables", "give it \"tables\", a list");
}

}  // namespace

std::vector<TableRequest> tables_to_add(const json& asked, const std::string& source) {
  MirrorConfig config = parse_config(json{{"tables", tables_asked(asked)}}.dump(), "request");
  for (TableRequest& wanted : config.tables) wanted.source = source;
  return std::move(config.tables);
}

void OwnerWork::add_tables(const SourceRequest& request) {
  const std::vector<TableRequest> asked = tables_to_add(request.asked, options_.source);
  try {
    for (const MirroredTable& table : load_tables_of(db_, options_.source)) {
      for (const TableRequest& wanted : asked) {
        if (name_for(wanted) != table.name) continue;
        throw ConfigError(fmt::format("the mirror has table \"{}\" already", table.name),
                          "\"deltamirror reseed\" copies it again");
      }
    }
    copies_.ask(asked, connection(conninfo_of(request.asked)), request.client);
  } catch (const Error&) {
    if (options_.keeper) options_.keeper->let_go(options_.source, asked);
    throw;
  }
}

void OwnerWork::reseed_tables(const SourceRequest& request) {
  const std::vector<MirroredTable> tables = load_tables_of(db_, options_.source);
  std::vector<TableRequest> wanted;
  for (const json& name : tables_asked(request.asked)) {
    wanted.push_back(wish_of(find_table(tables, name.get<std::string>())));
  }
  if (wanted.empty()) throw ConfigError("no table specified", "name one with --table");
  CopyJob& job =
      copies_.ask(std::move(wanted), connection(conninfo_of(request.asked)), request.client);
  job.only_rows = !request.asked.value("whole", false);
}

void OwnerWork::remove_tables(const SourceRequest& request, Applier& applier) {
  const std::vector<MirroredTable> tables = load_tables_of(db_, options_.source);
  std::vector<const MirroredTable*> removed;
  for (const json& name : tables_asked(request.asked)) {
    removed.push_back(&find_table(tables, name.get<std::string>()));
  }
  json notes = json::array();
  for (const MirroredTable* const table : removed) {
    applier.tables().remove(table->name);
    spdlog::info("removed table \"{}\"", table->name);
    std::string note = what_brings_back(*table);
    if (note.empty()) continue;
    spdlog::warn("{}", note);
    notes.push_back(std::move(note));
  }
  if (applier.pending()) applier.commit();
  if (options_.keeper) options_.keeper->let_go(options_.source, {});
  server_->done(request.client, {{"notes", std::move(notes)}});
}

std::string OwnerWork::what_brings_back(const MirroredTable& table) const {
  const std::string what =
      options_.keeper ? options_.keeper->brings_back(table)
      : options_.config_file.empty()
          ? ""
          : fmt::format("configuration \"{}\", if it names it,", options_.config_file);
  if (what.empty()) return {};
  return daystream::program::with_hint(
      fmt::format("{} brings table \"{}\" back at the next start", what, shown_name(table)),
      "leave it out there, too");
}

json OwnerWork::status() const {
  const Checkpoint at = load_checkpoint(db_, options_.source);
  json out = {{"source", at.source}, {"position", at.position.text()}, {"lsn", at.lsn.text()}};
  copies_.tell_status(out);
  return out;
}

void OwnerWork::take(const MirrorConfig& config, Applier& applier) {
  try {
    TakenConfig taken = take_config(db_, options_, config, applier, copies_.any());
    on_trouble_ = taken.on_trouble;
    if (!taken.to_copy.empty()) copies_.ask(taken.to_copy, connection(std::nullopt), 0);
    extra_sql_ = std::move(taken.extra_sql);
    if (!copies_.any_soon(applier)) run_extra_sql_of_copies();
    if (options_.fleet) options_.fleet->taken(config);
  } catch (const Error& e) {
    applier.give_up();
    const ConfigError error = not_taken(options_, e);
    spdlog::error("{}", daystream::program::with_hint(error.what(), error.hint()));
    remember_not_taken(db_, options_, error);
    if (options_.fleet && config.offer) options_.fleet->refused(config.offer->revision, e.what());
  }
}

bool OwnerWork::take_over(const Error& error) {
  if (copies_.has_failed()) return false;
  if (const auto* const trouble = dynamic_cast<const NeedsReseed*>(&error)) {
    return on_trouble_ != OnTrouble::Stop && keep_as_it_was(*trouble);
  }
  if (dynamic_cast<const StreamGap*>(&error) != nullptr) return copies_.ask_for_all(error);
  return error.exit_code() == daystream::ExitCode::NeedsPerson && copies_.wait_for_running(error);
}

// At its last commit, which is the mirror's, as the Applier has taken back what came since.
bool OwnerWork::keep_as_it_was(const NeedsReseed& trouble) {
  std::vector<MirroredTable> tables = load_tables_of(db_, options_.source);
  const auto found = std::find_if(tables.begin(), tables.end(), [&](const MirroredTable& t) {
    return t.is_followed() && (trouble.oid() != 0 ? t.shape.oid == trouble.oid()
                                                  : t.shape.line_name == trouble.line_name());
  });
  if (found == tables.end()) return false;
  spdlog::warn("table {} stays as it is: {}", found->name, trouble.what());
  WriteTransaction transaction(db_);
  take_out(db_, *found,
           {.state = TableState::Copying, .reason = trouble.what(), .hint = trouble.hint()},
           OnTrouble::Keep);
  transaction.commit();
  return true;
}

}  // namespace deltamirror
