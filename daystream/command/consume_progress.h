// What a consumer was handed, what of it counts as done, and where that is kept.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <optional>

#include "consumer_checkpoint.h"
#include "daystream/position.h"
#include "daystream/transaction.h"

namespace daystream::command {

// Where it is kept how far a consumer is.
class ProgressPlace {
 public:
  virtual ~ProgressPlace() = default;
  // Throws where it is ours no longer. Asked often.
  virtual void check() const = 0;
  // On disk when it returns. `acknowledged`: something of it was, since the last one.
  virtual void save(const Acknowledged& done, bool acknowledged) = 0;
};

// Threads: one.
class ConsumeProgress {
 public:
  // `place` must outlive it.
  explicit ConsumeProgress(ProgressPlace& place) : place_(place) {}

  // Handed over and not acknowledged.
  std::size_t pending() const noexcept { return pending_.size(); }

  void handed(const Transaction& transaction) {
    handed({transaction.position(), transaction.lsn()});
  }
  void handed(const Acknowledged& place) { pending_.push_back({place.position, place}); }
  // A mark, or a transaction that a filter leaves nothing of: done as soon as all before is.
  void passed(const Transaction& transaction);

  // The command is done with the transaction that ends at `position`, and with all before it.
  // False: it was not handed such a one, or has acknowledged it before.
  bool acknowledge(Position position);
  void acknowledge_all();

  // Acknowledgements go to disk at once, those that came together in one go. Where only marks
  // passed nothing would be done twice: then it need not be often. To be called once a second: it
  // also looks whether the place is still ours.
  void save(bool also_passed);

 private:
  struct Pending {
    Position position;     // what is acknowledged
    Acknowledged through;  // what is done then
  };

  ProgressPlace& place_;
  std::deque<Pending> pending_;
  std::optional<Acknowledged> done_;
  bool acknowledged_ = false;  // since the last save
  std::optional<Position> saved_position_;
  std::chrono::steady_clock::time_point saved_{};
};

}  // namespace daystream::command
