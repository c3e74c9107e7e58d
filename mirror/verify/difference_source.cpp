#include "verify/difference_source.h"

#include <fmt/format.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "seed/requests.h"
#include "store/checkpoint.h"
#include "store/mirror_file.h"
#include "verify/verify_point.h"

namespace deltamirror {

namespace {

// They are written in one step, while the replay waits.
constexpr std::size_t kMostRows = 20'000;
constexpr std::size_t kMostDifferenceBytes = 64 << 20;
constexpr std::chrono::milliseconds kCancelEvery{100};

std::vector<OwnedValue> owned(const std::vector<Value>& values) {
  return {values.begin(), values.end()};
}

}  // namespace

DifferenceSource::DifferenceSource(LiveSeedRequest request,
                                   const daystream::program::Signals& signals)
    : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!fd_) throw daystream::IoError("could not wait for a comparison", errno);
  thread_ = std::thread([this, request = std::move(request), &signals] {
    std::optional<Differences> found;
    std::exception_ptr error;
    try {
      found = run(request, signals);
    } catch (...) {
      // Given on to the thread that asks.
      error = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    found_ = std::move(found);
    error_ = error;
    done_ = true;
    changed_.notify_all();
    eventfd_write(fd_.get(), 1);
  });
}

DifferenceSource::~DifferenceSource() {
  {
    std::unique_lock lock(mutex_);
    stop_ = true;
    // Again and again: a cancel between two statements is lost.
    while (!done_) {
      if (session_ != nullptr) session_->cancel();
      changed_.wait_for(lock, kCancelEvery);
    }
  }
  thread_.join();
}

std::optional<Differences> DifferenceSource::try_take() {
  const std::lock_guard lock(mutex_);
  if (!done_) return std::nullopt;
  eventfd_t count = 0;
  eventfd_read(fd_.get(), &count);  // there is no more to wake for
  if (error_) std::rethrow_exception(error_);
  return std::exchange(found_, std::nullopt);
}

Differences DifferenceSource::run(const LiveSeedRequest& request,
                                  const daystream::program::Signals& signals) {
  Database db = open_for_reading(request.mirror);
  db.exec("BEGIN");
  const Checkpoint at = load_checkpoint(db, request.source);
  const std::vector<MirroredTable> all = load_tables_of(db, request.source);
  Differences out;
  for (const TableRequest& wanted : request.config.tables) {
    out.tables.push_back(find_table(all, name_for(wanted)));
  }
  SeedSession session(request.conninfo, request.daystream, request_of(out.tables), signals);
  struct Announced {  // gone from session_ before the session is
    DifferenceSource& source;
    ~Announced() {
      const std::lock_guard lock(source.mutex_);
      source.session_ = nullptr;
    }
  } const announced{*this};
  {
    const std::lock_guard lock(mutex_);
    if (stop_) throw daystream::Error("stopped before all was compared");
    session_ = &session;
  }
  take_snapshot_seeing(session, request.daystream, at);
  out.system_identifier = session.server().system_identifier;
  out.snapshot = session.snapshot();
  out.consistent_at = session.consistent_at();
  out.seam = session.seam();
  Overlay overlay(db, out.tables);
  if (!lay_over(overlay, session, request.daystream, at, request.conninfo, signals)) {
    throw TooDifferent("the mirror is far behind, or a shape has just changed");
  }
  std::size_t size_bytes = 0;
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < session.tables().size(); ++i) {
    const SeedTable& source = session.tables()[i];
    const MirroredTable& table = out.tables[i];
    if (source.relation.oid != table.shape.oid || source.mirrored.shape != table.shape) {
      throw TooDifferent(fmt::format("table {} has another shape", table.name));
    }
    RowCompare compare(
        db, table, false,
        [&](const RowDifference& difference) {
          DifferentRow& row = out.rows.emplace_back();
          row.table = i;
          row.key = owned(difference.key);
          for (std::size_t c = 0; difference.batch != nullptr && c < table.columns.size(); ++c) {
            row.row.emplace_back(difference.batch->value(difference.row, c));
            size_bytes += sizeof(OwnedValue) + row.row.back().get().bytes.size();
          }
          if (out.rows.size() <= kMostRows && size_bytes <= kMostDifferenceBytes) return;
          throw TooDifferent(fmt::format("more than {} rows differ", out.rows.size() - 1));
        },
        &overlay);
    compare.on_progress([&](std::uint64_t rows) { rows_ = before + rows; });
    compare.run(session, source);
    before += compare.rows();
    rows_ = before;
  }
  session.finish();
  return out;
}

}  // namespace deltamirror
