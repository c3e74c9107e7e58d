#include "seed/live_seed.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "store/shared_table.h"

namespace deltamirror {

using daystream::ConfigError;
using std::chrono::steady_clock;

namespace {

constexpr std::chrono::milliseconds kStep{40};
constexpr int kMostStarts = 10;

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
  insert_ = Statement();
  catch_up_.reset();
  batch_.reset();
  rows_ = 0;
  if (!shadows_.empty()) {
    shadows_.clear();
    WriteTransaction transaction(db_);
    Shadow::drop_left_over(db_, request_.source);
    transaction.commit();
  }
  stage_ = Stage::Waiting;
  source_ = std::make_unique<LiveSource>(request_.conninfo, request_.daystream, request_.config,
                                         signals_);
}

void LiveSeed::start_again(const std::string& why) {
  if (starts_ >= kMostStarts) {
    throw daystream::Error(
        fmt::format("gave up to copy tables that change their shape all the time: {}", why),
        "try again when it is quieter");
  }
  spdlog::info("copying the tables anew: {}", why);
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
    if (stage_ == Stage::Copying) return true;
  }
  WriteTransaction transaction(db_);
  try {
    stage_ = catch_up_->step(at, deadline) ? Stage::Ready : Stage::CatchingUp;
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
  if (!batch_) {
    auto item = source_->try_next();
    if (!item) return false;
    if (auto* const facts = std::get_if<LiveSnapshot>(&*item)) {
      take_snapshot(std::move(*facts));
      return true;
    }
    if (std::holds_alternative<LiveEnd>(*item)) {
      insert_ = Statement();
      catch_up_.emplace(db_, request_.daystream, facts_.seam, facts_.snapshot);
      for (const auto& shadow : shadows_) catch_up_->add(shadow->table());
      stage_ = Stage::CatchingUp;
      return true;
    }
    batch_ = std::move(std::get<LiveRows>(*item));
    next_row_ = 0;
  }
  WriteTransaction transaction(db_);
  const bool loaded = load(deadline);
  transaction.commit();
  if (loaded) batch_.reset();
  return true;
}

void LiveSeed::take_snapshot(LiveSnapshot facts) {
  if (facts.server.system_identifier != system_identifier_) {
    throw daystream::WrongSource(
        fmt::format("the server is another cluster (system identifier {}) than the mirror's "
                    "(system identifier {})",
                    facts.server.system_identifier, system_identifier_),
        "connect to the server that the mirror was seeded from");
  }
  facts_ = std::move(facts);
  for (const SeedTable& table : facts_.tables) {
    for (const MirroredTable& other : sharing(load_tables(db_), table.mirrored)) {
      check_shareable(other, table.mirrored);
    }
  }
  WriteTransaction transaction(db_);
  for (const SeedTable& table : facts_.tables) {
    shadows_.push_back(std::make_unique<Shadow>(db_, table.mirrored));
  }
  transaction.commit();
  loading_ = facts_.tables.size();
  stage_ = Stage::Copying;
}

bool LiveSeed::load(steady_clock::time_point deadline) {
  const MirroredTable& table = shadows_.at(batch_->table)->table();
  if (loading_ != batch_->table) {
    loading_ = batch_->table;
    insert_ = db_.prepare(insert_sql(table));
  }
  const RowBatch& rows = batch_->rows;
  for (; next_row_ < rows.rows(); ++next_row_) {
    if (next_row_ % 64 == 63 && steady_clock::now() >= deadline) return false;
    for (std::size_t i = 0; i < rows.columns(); ++i) {
      rows.value(next_row_, i).bind_to(insert_, static_cast<int>(i) + 1);
    }
    try {
      insert_.run();
    } catch (const SqliteError& e) {
      if ((e.code() & 0xff) != SQLITE_CONSTRAINT) throw;
      throw ConfigError(fmt::format("the query for \"{}\" returns a row twice",
                                    facts_.tables[batch_->table].mirrored.name),
                        "it must return each row of the table once");
    }
    ++facts_.tables[batch_->table].mirrored.seeded_rows;
    ++rows_;
  }
  return true;
}

void LiveSeed::install(Applier& applier) {
  catch_up_.reset();  // its statements are about the shadows
  for (std::size_t i = 0; i < shadows_.size(); ++i) {
    MirroredTable& table = facts_.tables[i].mirrored;
    table.seeded_at = utc_text(now_us());
    applier.install(table, [&] { shadows_[i]->put_in_place(); });
  }
  applier.learn(facts_.types, facts_.consistent_at, facts_.server.timeline);
}

}  // namespace deltamirror
