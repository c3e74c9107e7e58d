#include "command/wait.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "store/checkpoint.h"
#include "store/mirror_file.h"

namespace deltamirror {

using daystream::UniqueFd;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

// A commit writes to the log; the file itself changes when it is checkpointed.
UniqueFd watch(const std::string& mirror) {
  UniqueFd fd(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!fd) throw daystream::IoError("could not watch files", errno);
  for (const std::string& path : {mirror, mirror + "-wal"}) {
    inotify_add_watch(fd.get(), path.c_str(), IN_MODIFY);  // a missing -wal: the fallback serves
  }
  return fd;
}

void drain(int fd) {
  char events[4096];
  while (read(fd, events, sizeof events) > 0) {
  }
}

}  // namespace

std::string WaitGoal::text() const {
  if (!lsn) return time;
  return time.empty() ? lsn->text() : fmt::format("{} and {}", lsn->text(), time);
}

bool wait_for(const std::string& mirror, const WaitGoal& goal, std::optional<milliseconds> timeout,
              const daystream::program::Signals& signals) {
  const Database db = open_for_reading(mirror);
  const UniqueFd watcher = watch(mirror);
  const auto end = steady_clock::now() + timeout.value_or(milliseconds(0));
  const bool is_one = goal.lsn || !goal.source.empty();
  for (;;) {
    drain(watcher.get());
    const std::vector<Checkpoint> all =
        is_one ? std::vector{load_checkpoint(db, goal.source)} : load_checkpoints(db);
    const bool there = std::all_of(all.begin(), all.end(), [&](const Checkpoint& at) {
      return (!goal.lsn || at.lsn >= *goal.lsn) && at.complete_to >= goal.time;
    });
    if (there) return true;
    // Commits wake us; the second is for what inotify cannot see, as another host's writes.
    auto pause = milliseconds(1000);
    if (timeout) {
      const auto left = std::chrono::ceil<milliseconds>(end - steady_clock::now());
      if (left.count() <= 0) return false;
      pause = std::min(pause, left);
    }
    pollfd fds[] = {{.fd = watcher.get(), .events = POLLIN, .revents = 0},
                    {.fd = signals.fd(), .events = POLLIN, .revents = 0}};
    poll(fds, 2, static_cast<int>(pause.count()));
    if (signals.stop_requested()) return false;
  }
}

}  // namespace deltamirror
