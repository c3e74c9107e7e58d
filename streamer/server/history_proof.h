// Shows that a server whose slot is confirmed less far than our daystream goes has our history, and
// not one of its own.
//
// A slot may rightly be behind: PostgreSQL writes down what we confirmed at checkpoints only, and a
// confirmation can be lost on the way. But a data folder that was set back, as a disk snapshot is,
// has such a slot too, and no new timeline shows it. Once its WAL has grown past our end,
// nothing but its content gives it away: streaming on from our end would skip what it wrote
// instead. So the last transaction with rows that we hold beyond the slot is asked for again. It
// must come with the same LSN, id and commit time, and no other transaction with rows may come
// before our end. Until then nothing is confirmed.
//
// Transactions without rows prove nothing: a schema line may come on one connection and not on the
// next. Nor does what was streamed under another table filter: with today's, other rows come of the
// same transactions. The class does no input or output but reading the daystream once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

#include "daystream/lsn.h"
#include "daystream/position.h"

namespace deltastream {

class HistoryProof {
 public:
  HistoryProof() = default;  // nothing to prove
  // `confirmed` is the slot's, `end` the LSN that the daystream has come to, all of it durable.
  // The daystream has had the table filter that the slot is asked with now since `since`.
  HistoryProof(const std::filesystem::path& directory, daystream::Position since,
               daystream::Lsn confirmed, daystream::Lsn end);

  bool pending() const noexcept { return pending_; }
  // Where the stream is to begin, so that what proves it comes.
  daystream::Lsn begin() const noexcept { return begin_; }
  // No more than this may be confirmed while the proof is pending.
  daystream::Lsn confirmed() const noexcept { return confirmed_; }

  // What comes, in its order, while the proof is pending. Each throws NeedsPerson when it shows
  // another history. False: the lines are ours already, and not to be kept again.
  bool take(std::string_view lines);
  void take_keepalive(daystream::Lsn lsn);

 private:
  struct Commit {
    daystream::Lsn lsn;
    std::uint32_t xid = 0;
    std::int64_t time_us = 0;
    bool operator==(const Commit&) const = default;
  };
  void take_commit(const Commit& commit);
  void passed(daystream::Lsn lsn);
  [[noreturn]] void diverged(daystream::Lsn lsn) const;

  bool pending_ = false;
  daystream::Lsn confirmed_, begin_, end_;
  std::optional<Commit> expected_;  // not come yet
  bool in_transaction_ = false;     // of what comes
  bool has_row_ = false;            // that transaction
};

}  // namespace deltastream
