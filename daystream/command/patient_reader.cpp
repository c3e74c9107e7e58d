#include "patient_reader.h"

#include <spdlog/spdlog.h>

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
    pauses_.reset();
  }
  reader_.reset();
  if (const auto text = said_.met(end.what())) spdlog::warn("{}; trying again", *text);
}

bool PatientReader::wait(std::chrono::milliseconds timeout, int wake_fd) {
  if (reader_) return reader_->wait(timeout, wake_fd);
  return !WaitSet{wake_fd}.wait(std::min(timeout, pauses_.next()));
}

}  // namespace daystream::command
