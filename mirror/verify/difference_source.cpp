#include "verify/difference_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "seed/requests.h"
#include "store/checkpoint.h"
#include "store/mirror_file.h"
#include "verify/row_compare.h"
#include "verify/verify_point.h"

namespace deltamirror {

namespace {

// They are written in one step, while the replay waits.
constexpr std::size_t kMostRows = 20'000;
constexpr std::size_t kMostDifferenceBytes = 64 << 20;

std::vector<OwnedValue> owned(const std::vector<Value>& values) {
  return {values.begin(), values.end()};
}

// The rows that differ, until they are too many.
class Gatherer {
 public:
  explicit Gatherer(Differences& into) : into_(into) {}

  void take(std::size_t table, const RowDifference& difference) {
    DifferentRow& row = into_.rows.emplace_back();
    row.table = table;
    row.key = owned(difference.key);
    const std::size_t columns =
        difference.batch == nullptr ? 0 : into_.tables[table].columns.size();
    for (std::size_t c = 0; c < columns; ++c) {
      row.row.emplace_back(difference.batch->value(difference.row, c));
      size_bytes_ += sizeof(OwnedValue) + row.row.back().get().bytes.size();
    }
    if (into_.rows.size() <= kMostRows && size_bytes_ <= kMostDifferenceBytes) return;
    throw TooDifferent(fmt::format("more than {} rows differ", into_.rows.size() - 1));
  }

 private:
  Differences& into_;
  std::size_t size_bytes_ = 0;
};

void check_shape(const SeedTable& source, const MirroredTable& table) {
  const MirroredTable& now = source.mirrored;
  const bool same = source.relation.oid == table.shape.oid && now.shape == table.shape &&
                    now.facts == table.facts && now.partitions.kind == table.partitions.kind;
  if (!same) throw TooDifferent(fmt::format("table {} has another shape", table.name));
}

Differences compare(DifferenceSource& thread, const LiveSeedRequest& request,
                    const daystream::program::Signals& signals, std::atomic<std::uint64_t>& rows) {
  Database db = open_for_reading(request.mirror);
  db.exec("BEGIN");
  const Checkpoint at = load_checkpoint(db, request.source);
  const std::vector<MirroredTable> all = load_tables_of(db, request.source);
  Differences out;
  for (const TableRequest& wanted : request.tables) {
    out.tables.push_back(find_table(all, name_for(wanted)));
  }
  SeedSession session(request.conninfo, request.daystream, request_of(out.tables), signals,
                      Unfit::Refuse, request.places);
  const DifferenceSource::WithSession announced(thread, session);
  std::optional<Overlay> overlay;
  if (request.from_its_seam) {
    session.only_compare();
    session.take_snapshot();
  } else {
    take_snapshot_seeing(session, request.daystream, at);
    overlay.emplace(db, out.tables);
    if (!lay_over(*overlay, session, request.daystream, at, request.conninfo, signals)) {
      throw TooDifferent("the mirror is far behind, or a shape has just changed");
    }
  }
  Gatherer gatherer(out);
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < session.tables().size(); ++i) {
    check_shape(session.tables()[i], out.tables[i]);
    RowCompare rows_of(
        db, out.tables[i], false,
        [&](const RowDifference& difference) { gatherer.take(i, difference); },
        overlay ? &*overlay : nullptr);
    rows_of.on_progress([&](std::uint64_t compared) { rows = before + compared; });
    rows_of.run(session, session.tables()[i]);
    out.tables[i].seed.rows = static_cast<std::int64_t>(rows_of.rows());
    before += rows_of.rows();
    rows = before;
  }
  session.finish();
  out.at = snapshot_of(session);
  return out;
}

}  // namespace

std::unique_ptr<DifferenceSource> start_comparing(const LiveSeedRequest& request,
                                                  const daystream::program::Signals& signals,
                                                  std::atomic<std::uint64_t>& rows) {
  return std::make_unique<DifferenceSource>([request, &signals, &rows](DifferenceSource& thread) {
    try {
      thread.hand_over(compare(thread, request, signals, rows));
    } catch (const TooDifferent&) {
      throw;
    } catch (const daystream::Error& e) {
      // What a table is now may be in the way of comparing it, and not of copying it.
      if (e.retryable() || signals.stop_requested()) throw;
      throw TooDifferent(e.what());
    }
  });
}

}  // namespace deltamirror
