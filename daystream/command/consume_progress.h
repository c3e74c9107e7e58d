// What a consumer was handed, what of it counts as done, and the file that keeps it.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <optional>
#include <string>

#include "consumer_checkpoint.h"
#include "daystream/position.h"
#include "daystream/transaction.h"

namespace daystream::command {

// Threads: one.
class ConsumeProgress {
 public:
  // `file` must outlive it.
  ConsumeProgress(const ConsumerCheckpoint& file, std::string system_identifier)
      : file_(file), system_identifier_(std::move(system_identifier)) {}

  // Handed over and not acknowledged.
  std::size_t pending() const noexcept { return pending_.size(); }

  void handed(const Transaction& transaction);
  // A mark, or a transaction that a filter leaves nothing of: done as soon as all before is.
  void passed(const Transaction& transaction);

  // The command is done with the transaction that ends at `position`, and with all before it.
  // False: it was not handed such a one, or has acknowledged it before.
  bool acknowledge(Position position);
  void acknowledge_all();

  // Acknowledgements go to disk at once, those that came together in one go. Where only marks
  // passed nothing would be done twice: then it need not be often. To be called once a second: it
  // also looks whether the file is still the one (ConsumerCheckpoint::check_place()).
  void save(bool also_passed);

 private:
  struct Pending {
    Position position;     // what is acknowledged
    Acknowledged through;  // what is done then
  };

  const ConsumerCheckpoint& file_;
  std::string system_identifier_;
  std::deque<Pending> pending_;
  std::optional<Acknowledged> done_;
  bool acknowledged_ = false;  // since the last save
  std::optional<Position> saved_position_;
  std::chrono::steady_clock::time_point saved_{};
};

}  // namespace daystream::command
