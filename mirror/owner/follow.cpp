#include "owner/follow.h"

#include <sys/epoll.h>

#include <cerrno>
#include <filesystem>

#include "daystream/error.h"
#include "owner/follow_source.h"
#include "owner/follow_sources.h"
#include "owner/source_options.h"
#include "program/notify.h"
#include "store/mirror_file.h"
#include "store/mirror_lock.h"

namespace deltamirror {

namespace {

void follow_one(const FollowOptions& options, const FollowControl& control, Database& db) {
  OwnerWork work(db, options, control);
  daystream::program::Notify notify;
  WalKeeper keeper(db);
  LagReport lag(options.daystream, options.mirror);
  const daystream::UniqueFd wake = any_of({control.wake_fd, work.fd()});
  const auto nothing = [] {};
  follow_source({.options = options,
                 .source = options.source,
                 .db = db,
                 .work = work,
                 .keeper = keeper,
                 .lag = lag,
                 .stop_requested =
                     [&] {
                       notify.alive();
                       return control.stop_requested();
                     },
                 .begun = [&] { notify.ready(); },
                 .woken = nothing,
                 .wake_fd = wake.get(),
                 .pause_fd = control.wake_fd,
                 // What else a signal asks for is still to be seen by take_reload().
                 .pause_woken = [&] { control.signals.clear(); },
                 .sleeps_short = notify.has_watchdog()});
  notify.stopping();
}

}  // namespace

daystream::UniqueFd any_of(std::initializer_list<int> fds) {
  daystream::UniqueFd any(epoll_create1(EPOLL_CLOEXEC));
  if (!any) throw daystream::IoError("could not wait for signals", errno);
  for (const int fd : fds) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    if (epoll_ctl(any.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
      throw daystream::IoError("could not wait for signals", errno);
    }
  }
  return any;
}

void follow(const FollowOptions& options, const FollowControl& control) {
  // Before the lock, as a lock file beside no mirror would only puzzle.
  static_cast<void>(open_for_reading(options.mirror));
  const MirrorLock owner(options.mirror);
  Database db = open_owned(options.mirror);
  static_cast<void>(load_tables(db));  // says so where the file is no mirror
  const std::vector<FollowOptions> sources = options_of_sources(options, db);
  if (sources.size() > 1) return follow_sources(options, control, db);
  follow_one(sources.front(), control, db);
}

}  // namespace deltamirror
