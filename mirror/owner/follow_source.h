// Follows one source of a mirror: reads its daystream, applies, commits, and begins anew after what
// trying again can mend.
#pragma once

#include <functional>
#include <string>

#include "owner/follow.h"
#include "owner/lag_report.h"
#include "owner/owner_work.h"
#include "owner/write_turn.h"
#include "store/wal_keeper.h"

namespace deltamirror {

// What a source has of its owner. Of a mirror of several, each source is followed on a thread of
// its own, as a server that is away may hold up whoever reads it for long; what they share, `db`
// above all, is used only by who has the turn.
struct SourceContext {
  const FollowOptions& options;  // of this source: where it is read
  std::string source;            // empty: the mirror is of one that has no name
  Database& db;
  OwnerWork& work;  // this source's
  WalKeeper& keeper;
  LagReport& lag;
  std::function<bool()> stop_requested;  // asked about once a second; also tells that we live
  std::function<void()> begun;           // it has come to follow
  std::function<void()> woken;           // whoever made wake_fd readable is heard
  int wake_fd;                           // readable: a signal, or work, or others want the turn
  int pause_fd;                          // the same without work: for a pause before trying again
  std::function<void()> pause_woken;
  bool sleeps_short = false;  // for a watchdog
  WriteTurn* turn = nullptr;  // nullptr: there are no others
  int nudge_fd = -1;          // see WriteTurn

  // Nobody follows a source for ever: to end with the stream, or once tables are in place.
  bool stays() const noexcept { return !options.once && options.seed_now.empty(); }
};

// Ends at a commit, when a stop was requested or what the options ask for is done. Throws what a
// person must see to; then, too, the mirror is at a commit.
void follow_source(const SourceContext& context);

}  // namespace deltamirror
