#include "seed/copy_pump.h"

#include <memory>
#include <utility>

#include "program/postgres.h"

namespace deltamirror {

namespace {

constexpr std::size_t kBatchBytes = 256 * 1024;
constexpr std::size_t kQueued = 8;

}  // namespace

CopyPump::CopyPump(PGconn* connection, std::vector<CopyColumn> columns)
    : connection_(connection), copy_(std::move(columns)), thread_([this] { receive(); }) {}

CopyPump::~CopyPump() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (!finished_) {
    // The server may be slow to send: it is asked to end the COPY, so that we need not wait.
    PGcancel* cancel = PQgetCancel(connection_);
    char problem[256];
    if (cancel != nullptr) PQcancel(cancel, problem, sizeof problem);
    PQfreeCancel(cancel);
  }
  thread_.join();
}

void CopyPump::receive() {
  try {
    RowBatch batch(copy_.columns());
    const auto hand_over = [&] {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stop_ || full_.size() < kQueued; });
      if (stop_) return false;
      full_.push_back(std::move(batch));
      if (spare_.empty()) {
        batch = RowBatch(copy_.columns());
      } else {
        batch = std::move(spare_.back());
        spare_.pop_back();
      }
      changed_.notify_all();
      return true;
    };
    for (;;) {
      char* row = nullptr;
      const int size = PQgetCopyData(connection_, &row, 0);
      if (size == -1) break;
      if (size < 0) {
        daystream::program::throw_error(connection_, nullptr, "could not receive rows");
      }
      const std::unique_ptr<char, decltype(&PQfreemem)> owner(row, &PQfreemem);
      copy_.take({row, static_cast<std::size_t>(size)}, batch);
      if (batch.size_bytes() >= kBatchBytes && !hand_over()) return;
    }
    if (batch.rows() != 0 && !hand_over()) return;
    // What ends a COPY is its result: an error of the server comes here.
    for (daystream::program::PgResult result; result.reset(PQgetResult(connection_)), result;) {
      if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) {
        daystream::program::throw_error(connection_, result.get(), "could not copy the table");
      }
    }
  } catch (...) {
    // Given on to the thread that asked for rows.
    const std::lock_guard lock(mutex_);
    error_ = std::current_exception();
  }
  const std::lock_guard lock(mutex_);
  done_ = true;
  changed_.notify_all();
}

bool CopyPump::ready(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, timeout, [&] { return done_ || !full_.empty(); });
}

const RowBatch* CopyPump::next() {
  std::unique_lock lock(mutex_);
  // A batch that held a huge row gives its memory back.
  if (current_.columns() != 0 && current_.size_bytes() <= 2 * kBatchBytes) {
    current_.clear();
    spare_.push_back(std::move(current_));
  }
  current_ = RowBatch();
  changed_.wait(lock, [&] { return done_ || !full_.empty(); });
  if (!full_.empty()) {
    current_ = std::move(full_.front());
    full_.pop_front();
    changed_.notify_all();
    return &current_;
  }
  finished_ = true;
  if (error_) std::rethrow_exception(error_);
  return nullptr;
}

}  // namespace deltamirror
