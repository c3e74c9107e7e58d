// A part of a consumer group that a worker holds for a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "daystream/error.h"
#include "store.h"

namespace daystream::sharing {

// Somebody else has the part by now, or may have: whatever is done for it no longer counts.
class LeaseLost : public Error {
 public:
  using Error::Error;
};

// Invariant: what a holder has kept is never taken back by one of a lower epoch. Between the end of
//            a lease and the moment in which its holder notices, two may work on a part, as after a
//            SIGSTOP: epoch() distinguishes what they do; it is on disk before it is given
//            out.
// Threads:   any: one renews, another keeps.
class Lease {
 public:
  using Clock = std::function<BootTime()>;

  struct Terms {
    std::uint32_t part;
    std::string holder;
    std::chrono::seconds length;
  };

  // nullptr: somebody has it, or was faster. After one that ran
  // out the record is `careful`. `store` and `clock` must outlive it.
  static std::unique_ptr<Lease> take(Store& store, const Terms& terms, const Clock& clock);

  std::uint32_t part() const noexcept { return terms_.part; }
  std::uint64_t epoch() const noexcept { return epoch_; }
  PartRecord record() const;
  std::chrono::seconds length() const noexcept { return terms_.length; }

  // Whether it has not run out. Once it has it stays so: it is not renewed.
  bool is_held() const;

  // Throws LeaseLost where it has run out, or somebody has the part.
  void renew();
  void keep(const std::function<void(PartRecord&)>& change);
  // Others may have the part. Whether it was still ours does not matter any more.
  void release() noexcept;

 private:
  Lease(Store& store, Terms terms, const Clock& clock, PartRecord record);
  void keep_locked(PartRecord next);

  Store& store_;
  const Terms terms_;
  const Clock& clock_;
  const std::uint64_t epoch_;
  mutable std::mutex mutex_;  // of record_ and lost_
  PartRecord record_;
  bool lost_ = false;
};

}  // namespace daystream::sharing
