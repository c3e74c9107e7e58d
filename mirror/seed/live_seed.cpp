#include "seed/live_seed.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "seed/requests.h"
#include "seed/snapshot_source.h"
#include "snapshot/from_snapshot.h"
#include "store/absent_table.h"
#include "store/indexes.h"
#include "store/shared_table.h"

namespace deltamirror {

using daystream::ConfigError;
using std::chrono::steady_clock;

namespace {

constexpr std::chrono::milliseconds kStep{40};
constexpr int kMostStarts = 10;

// What somebody has put beside the table keeps rows from it, in most cases.
daystream::NeedsPerson refused(const SqliteError& e) {
  return daystream::NeedsPerson(e.what(),
                                "look at the indexes and triggers that were put beside the table: "
                                "once nothing keeps its rows out, it comes by itself");
}

TableProblem problem_of(const CopyFailed& failed) {
  return {.name = failed.name(),
          .absence = {.state = TableState::Parked, .reason = failed.what(), .hint = failed.hint()}};
}

}  // namespace

LiveSeed::LiveSeed(Database& db, LiveSeedRequest request, const Checkpoint& mirror,
                   const daystream::program::Signals& signals)
    : db_(db),
      request_(std::move(request)),
      system_identifier_(mirror.system_identifier),
      signals_(signals) {
  start();
}

LiveSeed::~LiveSeed() = default;

void LiveSeed::start() {
  ++starts_;
  catch_up_.reset();
  if (load_) {
    load_.reset();
    WriteTransaction transaction(db_);
    Shadow::drop_left_over(db_, request_.source);
    transaction.commit();
  }
  since_.clear();
  for (const MirroredTable& table : load_tables_of(db_, request_.source)) {
    since_[table.name] = table.standing.since;
  }
  stage_ = Stage::Waiting;
  source_.reset();  // its place for a copy is free then
  source_ = request_.from ? start_taking_over(request_) : start_copying(request_, signals_);
}

void LiveSeed::start_again(const std::string& why) {
  if (request_.from) {
    throw UnfitSnapshot(fmt::format("{} is of no use: {}", request_.from->name(), why),
                        kTakeAnother);
  }
  if (starts_ >= kMostStarts) {
    throw daystream::Error(
        fmt::format("gave up to copy tables that change their shape all the time: {}", why),
        "try again when it is quieter");
  }
  spdlog::info("copying the tables again: {}", why);
  start();
}

void LiveSeed::leave_out(const CopyFailed& failed) {
  std::string shown = failed.name();
  std::erase_if(request_.tables, [&](const TableRequest& request) {
    if (name_for(request) != failed.name()) return false;
    shown = shown_name_for(request);
    return true;
  });
  failed_.push_back(problem_of(failed));
  if (!request_.tables.empty() && request_.on_left_out) request_.on_left_out(shown, failed.what());
  start();
}

double LiveSeed::expected_rows() const noexcept {
  double sum = 0;
  for (const SeedTable& table : facts_.tables) {
    if (table.relation.estimated_rows < 0) return -1;
    sum += table.relation.estimated_rows;
  }
  return sum;
}

bool LiveSeed::step(const Checkpoint& at) {
  const auto deadline = steady_clock::now() + kStep;
  if (stage_ == Stage::Waiting || stage_ == Stage::Copying) {
    if (!copy_step(deadline)) return false;
    if (stage_ != Stage::CatchingUp) return true;  // or it has begun again
  }
  WriteTransaction transaction(db_);
  try {
    const Checkpoint& to = request_.from_its_seam ? Checkpoint() : at;
    stage_ = catch_up_->step(to, deadline) ? Stage::Ready : Stage::CatchingUp;
  } catch (const ShapeChanged& e) {
    transaction.commit();
    start_again(e.what());
    return true;
  }
  transaction.commit();
  return stage_ != Stage::Ready;
}

// False: nothing has come yet.
bool LiveSeed::copy_step(steady_clock::time_point deadline) {
  if (!load_ || !load_->is_loading()) {
    std::optional<LiveItem> item;
    try {
      item = source_->try_next();
    } catch (const CopyFailed& e) {
      leave_out(e);
      return true;
    }
    if (!item) return false;
    if (auto* const facts = std::get_if<LiveSnapshot>(&*item)) {
      take_snapshot(std::move(*facts));
      return true;
    }
    if (std::holds_alternative<LiveEnd>(*item)) {
      load_->end();
      catch_up_.emplace(db_, request_.daystream, facts_.seam, facts_.snapshot);
      for (const auto& shadow : load_->shadows()) catch_up_->add(shadow->table());
      stage_ = Stage::CatchingUp;
      return true;
    }
    load_->begin(std::move(std::get<LiveRows>(*item)));
  }
  try {
    load_->load(deadline);
  } catch (const SqliteError& e) {
    if (!e.is_of_statement() || request_.unfit == Unfit::Refuse) throw;
    leave_out(CopyFailed(refused(e), load_->name()));
  } catch (const ConfigError& e) {
    if (request_.unfit == Unfit::Refuse) throw;
    leave_out(CopyFailed(e, load_->name()));
  }
  return true;
}

void LiveSeed::take_snapshot(LiveSnapshot facts) {
  check_server(facts.server, system_identifier_);
  facts_ = std::move(facts);
  problems_ = failed_;
  problems_.insert(problems_.end(), facts_.problems.begin(), facts_.problems.end());
  // What others had put beside a table that was taken out comes back with it.
  for (const MirroredTable& before : load_tables_of(db_, request_.source)) {
    for (SeedTable& copied : facts_.tables) {
      MirroredTable& table = copied.mirrored;
      if (table.name == before.wish.name) table.standing.set_aside = before.standing.set_aside;
    }
  }
  for (SeedTable& copied : facts_.tables) {
    MirroredTable& table = copied.mirrored;
    for (const std::vector<std::string>& wished : copied.request.indexes) {
      if (!indexes_now(table, {wished}).empty()) continue;
      spdlog::warn("table {}: left out the index on {}, as it has no such column",
                   shown_name_for(copied.request), fmt::join(wished, ", "));
    }
    table.indexes = wished_indexes(table);
  }
  for (const SeedTable& table : facts_.tables) {
    if (const auto misfit = why_unfit(table.mirrored)) return leave_out(*misfit);
  }
  if (request_.on_tables) request_.on_tables(facts_.tables);
  load_.emplace(db_, facts_.tables);
  stage_ = Stage::Copying;
}

// A line has described the table since the server was asked: what it said then counts no more.
bool LiveSeed::is_news(const Applier& applier, const std::string& name) const {
  const auto before = since_.find(name);
  return std::any_of(applier.tables().absent().begin(), applier.tables().absent().end(),
                     [&](const MirroredTable& table) {
                       return table.name == name && table.standing.state == TableState::Copying &&
                              before != since_.end() && table.standing.since != before->second;
                     });
}

// What other sources have in the same table may come to be of another shape at any time before the
// copy is in place. Throws where that is to be refused.
std::optional<CopyFailed> LiveSeed::why_unfit(const MirroredTable& table) const {
  if (const auto taken = somebodys_object(db_, table.name)) {
    const daystream::NeedsPerson e(
        fmt::format("the mirror has a {} of that name, which is not its own", *taken),
        "drop or rename it, and the table comes by itself; or give the table another name with "
        "\"as\"");
    if (request_.unfit == Unfit::Refuse) throw e;
    return CopyFailed(e, table.name);
  }
  try {
    check_fits(sharing(load_tables(db_), table), table);
  } catch (const daystream::NeedsPerson& e) {
    if (request_.unfit == Unfit::Refuse) throw;
    return CopyFailed(e, table.name);
  }
  return std::nullopt;
}

void LiveSeed::install(Applier& applier) {
  std::vector<bool> fits;
  for (const SeedTable& table : facts_.tables) {
    const auto misfit = why_unfit(table.mirrored);
    fits.push_back(!misfit);
    if (misfit) problems_.push_back(problem_of(*misfit));
  }
  catch_up_.reset();  // its statements are about the shadows
  if (request_.from_its_seam) applier.go_to(facts_.seam, facts_.server.timeline);
  const auto& shadows = load_->shadows();
  for (std::size_t i = 0; i < shadows.size(); ++i) {
    if (!fits[i]) continue;  // its shadow goes with what is left over
    MirroredTable& table = facts_.tables[i].mirrored;
    table.seed.at = timestamp_now();
    table.seed.written_rows = table.seed.rows;
    table.standing = {.since = table.seed.at};
    try {
      applier.tables().install(table, [&] {
        shadows[i]->put_in_place();
        table.standing.set_aside = shadows[i]->left_out();
      });
    } catch (const SqliteError& e) {
      if (!e.is_of_statement()) throw;
      problems_.push_back(problem_of(CopyFailed(refused(e), table.name)));
    }
  }
  for (const TableProblem& problem : problems_) {
    if (!is_news(applier, problem.name))
      applier.tables().set_absence(problem.name, problem.absence);
  }
  if (facts_.tables.empty()) return;
  // What a snapshot from before knows of types may not be so any more.
  if (request_.from && facts_.consistent_at < applier.reached().lsn) return;
  applier.learn(facts_.types, facts_.consistent_at, facts_.server.timeline);
}

}  // namespace deltamirror
