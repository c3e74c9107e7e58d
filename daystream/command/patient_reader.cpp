#include "patient_reader.h"

#include <algorithm>

#include "src/waiting.h"

namespace daystream::command {

PatientReader::PatientReader(const Stream& stream, const StartAfter& start, bool waits)
    : stream_(stream), waits_(waits), start_(start) {
  open();
}

bool PatientReader::open() {
  if (reader_) return true;
  try {
    reader_.emplace(stream_, start_);
    return true;
  } catch (const TornEnd& end) {
    wait_for(end);
    return false;
  }
}

Transaction* PatientReader::next() {
  try {
    return open() ? reader_->next() : nullptr;
  } catch (const TornEnd& end) {
    wait_for(end);
    return nullptr;
  }
}

void PatientReader::wait_for(const TornEnd& end) {
  if (!waits_) throw;
  // What was delivered is whole, and stays where it is.
  if (reader_ && reader_->position() != start_.position) {
    start_ = {reader_->position(), std::nullopt, start_.tables};
    retries_.worked();
  }
  reader_.reset();
  retries_.failed(end.what(), {});
}

bool PatientReader::wait(std::chrono::milliseconds timeout, int wake_fd) {
  if (reader_) return reader_->wait(timeout, wake_fd);
  return !WaitSet{wake_fd}.wait(std::min(timeout, retries_.pause()));
}

}  // namespace daystream::command
