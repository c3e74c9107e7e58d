#include "owner/follow_source.h"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "apply/asked_tables.h"
#include "owner/follower.h"
#include "remote/http_client.h"
#include "remote/pauses.h"
#include "store/last_events.h"

namespace deltamirror {

using std::chrono::steady_clock;

namespace {

// False: asked to stop meanwhile.
bool pause(std::chrono::milliseconds length, const SourceContext& context) {
  const auto end = steady_clock::now() + length;
  for (auto now = steady_clock::now(); now < end; now = steady_clock::now()) {
    if (context.stop_requested()) return false;
    const auto left = std::min<steady_clock::duration>(end - now, kShortSleep);
    pollfd wake{.fd = context.pause_fd, .events = POLLIN, .revents = 0};
    const auto nap = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    if (poll(&wake, 1, static_cast<int>(nap)) > 0) context.pause_woken();
  }
  return !context.stop_requested();
}

// The names of tables as lines may call them next; `seen`: those that one has taken just now.
std::string tables_to_ask_for(const SourceContext& context, const std::vector<std::string>& seen) {
  // With an end to stop at, each commit counts, also one that has nothing for us.
  const bool remote = daystream::remote::Url::is_one(context.options.daystream.native());
  if (!remote || context.options.until) return {};
  AskedTables asked;
  for (const MirroredTable& table : load_tables_of(context.db, context.source)) {
    if (!table.is_static()) asked.add(daystream::unescape(table.shape.line_name));
  }
  for (const std::string& name : context.work.tables_to_come()) asked.add(name);
  for (const std::string& name : seen) asked.add(name);
  return asked.list();
}

// What a Follower begins with.
struct Start {
  Checkpoint checkpoint;
  std::string asked;
};

Start load_start(const SourceContext& context, const std::vector<std::string>& seen) {
  const HavingTurn turn(context.turn, context.nudge_fd);
  return {load_checkpoint(context.db, context.source), tables_to_ask_for(context, seen)};
}

void remember(const SourceContext& context, const daystream::Error& e, AfterError after) {
  const HavingTurn turn(context.turn, context.nudge_fd);
  remember_error(context.db, context.source, e, after);
}

bool take_over(const SourceContext& context, const daystream::Error& e) {
  const HavingTurn turn(context.turn, context.nudge_fd);
  return context.work.take_over(e);
}

}  // namespace

void follow_source(const SourceContext& context) {
  daystream::remote::Pauses pauses;
  Batches batches = Batches::Large;
  std::vector<std::string> seen;  // by which TableNotAsked has told of
  bool withdrawn = false;
  for (;;) {
    try {
      Start start = load_start(context, seen);
      Follower follower(context, batches, std::move(start.checkpoint), start.asked);
      follower.begin();
      pauses.reset();
      try {
        follower.run(std::exchange(withdrawn, false));
        return;
      } catch (const TableNotAsked& e) {
        // What was committed since has those before as the mirror's own.
        if (follower.committed_anything()) seen.clear();
        seen.push_back(e.name());
        spdlog::info("asking \"{}\" for table {} too", context.options.daystream.string(),
                     e.name());
      } catch (const daystream::Error&) {
        // Whole transactions may have gone back with the one that failed: they are applied again
        // one by one, to fail at that very place.
        if (!follower.lost_whole_transactions()) throw;
        batches = Batches::Single;
      }
    } catch (const Withdrawn&) {
      batches = Batches::Large;
      withdrawn = true;
    } catch (const daystream::Error& e) {
      // The Follower's statements are gone with it: the tables can be changed.
      const bool again = e.retryable() && context.stays();
      remember(context, e, again ? AfterError::Waiting : AfterError::Stopped);
      if (again) {
        batches = Batches::Large;
        spdlog::warn("{}{}; trying again", label(context), e.what());
        if (!pause(pauses.next(), context)) return;
      } else if (take_over(context, e)) {
        batches = Batches::Single;
      } else {
        throw;
      }
    }
  }
}

}  // namespace deltamirror
