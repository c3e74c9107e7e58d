#include "copy_pump.h"

#include <utility>

#include "program/postgres.h"

namespace deltamirror {

namespace {

constexpr std::size_t kBatchBytes = 256 * 1024;
constexpr std::size_t kQueued = 8;

}  // namespace

CopyPump::CopyPump(PGconn* connection) : connection_(connection), thread_([this] { receive(); }) {}

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
    Batch batch;
    const auto hand_over = [&] {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stop_ || full_.size() < kQueued; });
      if (stop_) return false;
      full_.push_back(std::move(batch));
      batch = {};
      if (!spare_.empty()) {
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
      batch.bytes.append(row, static_cast<std::size_t>(size));
      PQfreemem(row);
      batch.ends.push_back(batch.bytes.size());
      if (batch.bytes.size() >= kBatchBytes && !hand_over()) return;
    }
    if (!batch.ends.empty() && !hand_over()) return;
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

CopyPump::Batch* CopyPump::next() {
  std::unique_lock lock(mutex_);
  current_.bytes.clear();
  current_.ends.clear();
  if (current_.bytes.capacity() <= 2 * kBatchBytes) spare_.push_back(std::move(current_));
  current_ = {};
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
