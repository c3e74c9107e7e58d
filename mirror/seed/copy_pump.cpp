#include "seed/copy_pump.h"

#include <memory>
#include <utility>

#include "program/postgres.h"

namespace deltamirror {

namespace {

constexpr std::size_t kBatchBytes = 256 * 1024;
constexpr std::size_t kQueued = 8;

}  // namespace

void receive_rows(PGconn* connection, BinaryCopy& copy, RowBatch& batch,
                  const std::function<bool()>& hand_over) {
  for (;;) {
    char* row = nullptr;
    const int size = PQgetCopyData(connection, &row, 0);
    if (size == -1) break;
    if (size < 0) daystream::program::throw_error(connection, nullptr, "could not receive rows");
    const std::unique_ptr<char, decltype(&PQfreemem)> owner(row, &PQfreemem);
    copy.take({row, static_cast<std::size_t>(size)}, batch);
    if (batch.size_bytes() >= kBatchBytes && !hand_over()) return;
  }
  if (batch.rows() != 0 && !hand_over()) return;
  // What ends a COPY is its result: an error of the server comes here.
  for (daystream::program::PgResult result; result.reset(PQgetResult(connection)), result;) {
    if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) {
      daystream::program::throw_error(connection, result.get(), "could not copy the table");
    }
  }
}

CopyPump::CopyPump(PGconn* connection, std::vector<CopyColumn> columns)
    : connection_(connection),
      copy_(std::move(columns)),
      full_(kQueued),
      thread_([this](const std::stop_token& stop) { receive(stop); }) {}

CopyPump::~CopyPump() {
  thread_.request_stop();
  if (finished_) return;
  // The server may be slow to send: it is asked to end the COPY, so that we need not wait.
  daystream::program::Cancel(connection_).ask();
}

RowBatch CopyPump::empty_batch() {
  const std::lock_guard lock(mutex_);
  if (spare_.empty()) return RowBatch(copy_.columns());
  RowBatch batch = std::move(spare_.back());
  spare_.pop_back();
  return batch;
}

void CopyPump::receive(const std::stop_token& stop) {
  try {
    RowBatch batch = empty_batch();
    receive_rows(connection_, copy_, batch, [&] {
      if (!full_.push(stop, std::move(batch))) return false;
      batch = empty_batch();
      return true;
    });
    full_.close();
  } catch (...) {
    full_.close(std::current_exception());  // for the thread that asked for rows
  }
}

bool CopyPump::ready(std::chrono::milliseconds timeout) {
  return full_.ready(timeout);
}

const RowBatch* CopyPump::next() {
  // A batch that held a huge row gives its memory back.
  if (current_ && current_->size_bytes() <= 2 * kBatchBytes) {
    current_->clear();
    const std::lock_guard lock(mutex_);
    spare_.push_back(std::move(*current_));
  }
  current_.reset();
  finished_ = true;  // also where that throws
  current_ = full_.pop();
  finished_ = !current_;
  return current_ ? &*current_ : nullptr;
}

}  // namespace deltamirror
