#include "seed/live_source.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "program/counted.h"
#include "program/postgres.h"

namespace deltamirror {

using daystream::ConfigError;
using daystream::Error;

namespace {

constexpr std::size_t kLiveBatchBytes = 256 * 1024;
constexpr std::size_t kLiveQueued = 8;
constexpr std::chrono::milliseconds kBetweenCancels{100};

}  // namespace

LiveSource::LiveSource(std::string conninfo, std::filesystem::path daystream, MirrorConfig config,
                       Unfit unfit, const daystream::program::Signals& signals)
    : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!fd_) throw daystream::IoError("could not wait for rows", errno);
  thread_ = std::thread([this, conninfo = std::move(conninfo), daystream = std::move(daystream),
                         config = std::move(config), unfit, &signals] {
    try {
      run(conninfo, daystream, config, unfit, signals);
    } catch (...) {
      // Given on to the thread that asks for rows.
      const std::lock_guard lock(mutex_);
      error_ = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    done_ = true;
    changed_.notify_all();
    eventfd_write(fd_.get(), 1);
  });
}

LiveSource::~LiveSource() {
  {
    std::unique_lock lock(mutex_);
    stop_ = true;
    changed_.notify_all();
    // Again and again: a cancel between two statements is lost.
    while (!done_) {
      if (session_ != nullptr) session_->cancel();
      changed_.wait_for(lock, kBetweenCancels);
    }
  }
  thread_.join();
}

void LiveSource::check_stop() const {
  if (stop_) throw Error("stopped before the seed was complete");
}

void LiveSource::hand_over(LiveItem item) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stop_ || items_.size() < kLiveQueued; });
  check_stop();
  items_.push_back(std::move(item));
  eventfd_write(fd_.get(), 1);
}

std::optional<LiveItem> LiveSource::try_next() {
  eventfd_t count = 0;
  const std::lock_guard lock(mutex_);
  if (items_.empty()) {
    eventfd_read(fd_.get(), &count);
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    return std::nullopt;
  }
  LiveItem item = std::move(items_.front());
  items_.pop_front();
  changed_.notify_all();
  return item;
}

void LiveSource::run(const std::string& conninfo, const std::filesystem::path& daystream,
                     const MirrorConfig& config, Unfit unfit,
                     const daystream::program::Signals& signals) {
  SeedSession session(conninfo, daystream, config, signals, unfit);
  struct Announced {  // gone from session_ before the session is
    LiveSource& source;
    ~Announced() {
      const std::lock_guard lock(source.mutex_);
      source.session_ = nullptr;
    }
  } const announced{*this};
  {
    const std::lock_guard lock(mutex_);
    check_stop();
    session_ = &session;
  }
  session.take_snapshot();
  hand_over(LiveSnapshot{.tables = session.tables(),
                         .server = session.server(),
                         .snapshot = session.snapshot(),
                         .consistent_at = session.consistent_at(),
                         .seam = session.seam(),
                         .types = session.types(),
                         .problems = session.problems()});
  for (std::size_t i = 0; i < session.tables().size(); ++i) {
    try {
      copy(session, session.tables()[i], i);
    } catch (const Error& e) {
      if (unfit == Unfit::Refuse || e.retryable() || stop_) throw;
      throw CopyFailed(e, session.tables()[i].mirrored.name);
    }
  }
  session.finish();
  hand_over(LiveEnd{});
}

void LiveSource::copy(SeedSession& session, const SeedTable& table, std::size_t number) {
  const bool counted = table.relation.oid != 0 && !table.request.query.empty();
  const std::uint64_t expected = counted ? session.count_rows(table) : 0;
  std::uint64_t rows = 0;
  PGconn* const pg = session.start_copy(table);
  BinaryCopy copy(table.copied);
  LiveRows batch{.table = number, .rows = RowBatch(copy.columns())};
  for (;;) {
    char* message = nullptr;
    const int size = PQgetCopyData(pg, &message, 0);
    if (size == -1) break;
    if (size < 0) daystream::program::throw_error(pg, nullptr, "could not receive rows");
    const std::unique_ptr<char, decltype(&PQfreemem)> owned(message, PQfreemem);
    copy.take({message, static_cast<std::size_t>(size)}, batch.rows);
    if (batch.rows.size_bytes() < kLiveBatchBytes) continue;
    rows += batch.rows.rows();
    hand_over(std::exchange(batch, LiveRows{.table = number, .rows = RowBatch(copy.columns())}));
  }
  rows += batch.rows.rows();
  if (batch.rows.rows() > 0) hand_over(std::move(batch));
  // What ends a COPY is its result: an error of the server comes here.
  for (daystream::program::PgResult result; result.reset(PQgetResult(pg)), result;) {
    if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) {
      daystream::program::throw_error(pg, result.get(), "could not copy the table");
    }
  }
  if (counted && rows != expected) {
    throw ConfigError(fmt::format("the query for \"{}\" returns {}, but the table has {}",
                                  table.mirrored.source_table,
                                  daystream::program::counted(rows, "row"), expected),
                      "a followed query may choose columns, not rows");
  }
}

}  // namespace deltamirror
