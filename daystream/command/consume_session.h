// Hands the transactions of a stream to a command until there are no more, or a stop is asked for.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "consume_progress.h"
#include "consumer.h"
#include "daystream/error.h"
#include "daystream/transaction.h"
#include "output.h"
#include "patient_reader.h"

namespace daystream::command {

// Chooses what of a transaction a command is handed.
class Sieve {
 public:
  virtual ~Sieve() = default;
  // Whether show() would show something. Each transaction is asked about once, in order.
  virtual bool wants(Transaction& transaction) = 0;
  // Shows what is wanted of the transaction that was asked about last, from its first line on.
  virtual void show(Transaction& transaction, Output& output) = 0;
};

// Threads: one.
// Errors:  those of Consumer, PatientReader and the ProgressPlace.
struct ConsumeSession {
  PatientReader& reader;
  ConsumeProgress& progress;
  const Consumer::Setup& setup;
  Sieve& sieve;
  std::uint64_t window;  // transactions handed over and not acknowledged, or in a batch, at most
  bool once;             // ends where the stream ends now
  std::function<std::string(Position)> gap_hint;   // what to do about one that ends there
  std::optional<PositionGone> gap = std::nullopt;  // was met: thrown by the caller, in the end

  // The next transaction of which something is wanted; nullptr: nothing more yet, a gap, or a stop
  // was asked for.
  Transaction* next_wanted();
  // Known as handed over before its last byte is out: no acknowledgement can come before.
  void hand_over(Transaction& transaction, Output& output);

  // One command that runs for long and writes a line for each transaction it is done with.
  void run_long();
  // A command for each batch, which acknowledges it by its exit code.
  void run_batches();
};

}  // namespace daystream::command
