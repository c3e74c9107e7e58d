// What pgoutput's stream needs beside it, on a thread of its own: signs of life, shapes sent again,
// old ones removed, and an eye on what the publication has.
//
// As in ServerMonitor each look is a short session.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "program/handover.h"
#include "program/repeats.h"
#include "server/publication.h"

namespace deltastream {

// What the stream is to say from the next connection on.
struct PublicationChange {
  PublishedTables left;                // is not told whole any more, or was not for a while
  bool all_left = false;               // the same of all
  std::optional<PublishedTables> now;  // is told whole from here on
};

class PublicationWatch {
 public:
  // `told`: the tables that the stream says it holds. `begun`: what the publication had when that
  // was decided.
  PublicationWatch(std::string conninfo, std::string publication, PublishedTables told,
                   Published begun);
  PublicationWatch(const PublicationWatch&) = delete;
  PublicationWatch& operator=(const PublicationWatch&) = delete;

  // Data came: no sign of life is needed for a while.
  void saw_data() noexcept { data_ = true; }
  // Tables that are unknown, 0: all: their shapes are sent again in the stream.
  void tell(const std::set<std::uint32_t>& relations);

  // Of the tables that the stream says it holds the publication does not tell these whole any more,
  // or there are others, and no transaction runs any more that began before: what it wrote until
  // then PostgreSQL leaves out.
  // Asked with each message, so that it costs next to nothing while there is nothing.
  std::optional<PublicationChange> take_changed() {
    if (!has_changed_) return std::nullopt;
    return changed_.try_take();
  }

 private:
  void look();
  void look_at_tables(PGconn* connection);
  void put(PublicationChange change);
  void tell_asked(PGconn* connection, const std::set<std::uint32_t>& asked);
  void give_sign(PGconn* connection);
  void trim(PGconn* connection);

  using Clock = std::chrono::steady_clock;

  const std::string conninfo_;
  const std::string publication_;
  const PublishedTables told_;
  const Published begun_;
  std::atomic<bool> data_ = false;
  std::mutex mutex_;
  std::set<std::uint32_t> asked_;  // of tell()
  daystream::program::Mailbox<bool> wake_;
  daystream::program::Mailbox<PublicationChange> changed_;
  std::atomic<bool> has_changed_ = false;

  // The thread's own.
  PublishedTables seen_;  // when it was last looked
  std::string since_;     // transactions that began later have ids from here on
  Clock::time_point next_look_{};
  Clock::time_point next_trim_{};
  daystream::program::Repeats problems_;

  std::jthread thread_;  // last: it uses the others
};

}  // namespace deltastream
