#include "verify/live_mend.h"

#include <utility>

#include "store/checkpoint.h"

namespace deltamirror {

using daystream::Action;
using daystream::Change;
using std::chrono::steady_clock;

namespace {

constexpr std::chrono::milliseconds kMendStep{40};

std::vector<Value> borrowed(const std::vector<OwnedValue>& values) {
  std::vector<Value> out;
  for (const OwnedValue& value : values) out.push_back(value.get());
  return out;
}

}  // namespace

LiveMend::LiveMend(Database& db, LiveSeedRequest request, const Checkpoint& mirror,
                   const daystream::program::Signals& signals)
    : db_(db),
      request_(std::move(request)),
      system_identifier_(mirror.system_identifier),
      source_(start_comparing(request_, signals, rows_)) {}

LiveMend::~LiveMend() = default;

void LiveMend::take(Differences found) {
  found_ = std::move(found);
  check_server(found_->at.server, system_identifier_);
  mended_.resize(found_->tables.size());
  for (const DifferentRow& row : found_->rows) {
    auto& mended = mended_[row.table];
    if (mended == nullptr) mended = std::make_unique<Mended>(db_, found_->tables[row.table]);
    mended->rows.add_key(borrowed(row.key));
    if (!row.row.empty()) mended->rows.add_row(borrowed(row.row));
  }
  const bool differs = !std::exchange(found_->rows, {}).empty();
  // A mirror that stands still goes to where the rows are.
  if (!differs || request_.from_its_seam) return;
  catch_up_.emplace(db_, request_.daystream, found_->at.seam, found_->at.snapshot);
  for (const auto& mended : mended_) {
    if (mended == nullptr) continue;
    catch_up_->add(mended->rows.table(),
                   [&m = *mended](const Change& change) { apply(m, change); });
  }
}

// Only what is about one of the rows is of interest.
void LiveMend::apply(Mended& mended, const Change& change) {
  const bool pair = mended.replaced.has_value();
  bool ours = true;
  switch (change.action) {
    case Action::Insert:
    case Action::Update:
    case Action::Delete:
    case Action::Replace:
      if (mended.key.read(change.columns)) {
        ours = mended.rows.has_key(mended.key.values());
      } else if (pair) {
        ours = *mended.replaced;  // the key did not change
      } else {
        throw ShapeChanged("a line does not name its row");
      }
      // Then there is a row with a key that was not compared, or the other way round.
      if (pair && ours != *mended.replaced) throw ShapeChanged("a row has another key now");
      mended.replaced.reset();
      if (change.action == Action::Replace) mended.replaced = ours;
      break;
    default:
      break;
  }
  if (ours) mended.rows.plan().apply(change);
}

bool LiveMend::step(const Checkpoint& at) {
  std::optional<Differences> found;
  if (!found_) {
    found = source_->try_next();
    if (!found) return false;
  }
  WriteTransaction transaction(db_);
  if (found) take(std::move(*found));
  bool there = true;
  try {
    if (catch_up_) there = catch_up_->step(at, steady_clock::now() + kMendStep);
  } catch (const ShapeChanged& e) {
    throw TooDifferent(e.what());
  }
  transaction.commit();
  ready_ = there && (request_.from_its_seam || at.lsn >= consistent_at());
  return !there;
}

void LiveMend::install(Applier& applier) {
  catch_up_.reset();
  applier.open_transaction();
  const std::string now = timestamp_now();
  for (std::size_t i = 0; i < mended_.size(); ++i) {
    const std::uint64_t written = mended_[i] == nullptr ? 0 : mended_[i]->rows.write_to_mirror();
    written_ += written;
    const MirroredTable& table = found_->tables[i];
    applier.tables().edit(table.name, [&](MirroredTable& mended) {
      mended.seed.at = now;
      mended.seed.rows = table.seed.rows;
      mended.seed.written_rows = static_cast<std::int64_t>(written);
      if (request_.from_its_seam) {
        mended.partitions.rows = found_->at.tables[i].mirrored.partitions.rows;
      }
    });
  }
  if (!request_.from_its_seam) return;
  const LiveSnapshot& there = found_->at;
  applier.tables().rebase(there.snapshot, there.consistent_at, there.server.timeline);
  applier.go_to(there.seam, there.server.timeline);
  applier.learn(there.types, there.consistent_at, there.server.timeline);
}

}  // namespace deltamirror
