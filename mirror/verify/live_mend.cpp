#include "verify/live_mend.h"

#include <fmt/format.h>

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
      source_(std::make_unique<DifferenceSource>(request_, signals)) {}

LiveMend::~LiveMend() = default;

void LiveMend::take(Differences found) {
  facts_ = std::move(found);
  found_ = true;
  if (facts_.system_identifier != system_identifier_) {
    throw daystream::WrongSource(
        fmt::format("the server is another cluster (system identifier {}) than the mirror's "
                    "(system identifier {})",
                    facts_.system_identifier, system_identifier_),
        "connect to the server that the mirror was seeded from");
  }
  mended_.resize(facts_.tables.size());
  for (const DifferentRow& row : facts_.rows) {
    auto& mended = mended_[row.table];
    if (mended == nullptr) mended = std::make_unique<Mended>(db_, facts_.tables[row.table]);
    mended->rows.add_key(borrowed(row.key));
    if (!row.row.empty()) mended->rows.add_row(borrowed(row.row));
  }
  if (facts_.rows.empty()) return;
  facts_.rows = {};
  catch_up_.emplace(db_, request_.daystream, facts_.seam, facts_.snapshot);
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
    found = source_->try_take();
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
  ready_ = there && at.lsn >= facts_.consistent_at;
  return !there;
}

void LiveMend::install(Applier& applier) {
  catch_up_.reset();
  applier.open_transaction();
  for (const auto& mended : mended_) {
    if (mended != nullptr) written_ += mended->rows.write_to_mirror();
  }
  const std::string now = utc_text(now_us());
  for (const MirroredTable& table : facts_.tables) {
    applier.tables().edit(table.name, [&](MirroredTable& mended) { mended.seeded_at = now; });
  }
}

}  // namespace deltamirror
