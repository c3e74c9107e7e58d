// A Reader for what runs for long.
#pragma once

#include <chrono>
#include <optional>

#include "daystream/error.h"
#include "daystream/reader.h"
#include "program/retries.h"

namespace daystream::command {

// As a Reader. But what a loss of power has torn is waited for: it says so, at once and each
// minute, has nothing more meanwhile, and goes on once the stream's writer has cut it.
//
// Threads: one.
class PatientReader {
 public:
  // Without `waits` a Reader, and no more.
  PatientReader(const Stream& stream, const StartAfter& start, bool waits);

  Transaction* next();
  bool wait(std::chrono::milliseconds timeout, int wake_fd);

 private:
  bool open();
  void wait_for(const TornEnd& end);  // which is being handled

  const Stream stream_;
  const bool waits_;
  StartAfter start_;              // of the next Reader
  std::optional<Reader> reader_;  // nullopt: the last one came to where it is torn
  program::Retries retries_;
};

}  // namespace daystream::command
