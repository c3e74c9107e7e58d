#include "wait.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>

#include "checkpoint.h"
#include "mirror_file.h"

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

std::optional<std::string> parse_wait_time(std::string_view text, std::int64_t now) {
  if (text == "now") return utc_text(now);
  if (text.starts_with('@')) {
    double seconds = 0;
    const auto [end, error] = std::from_chars(text.data() + 1, text.data() + text.size(), seconds);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    if (!(seconds >= 0 && seconds < 1e11)) return std::nullopt;
    return utc_text(std::llround(seconds * 1e6));
  }
  if (text.ends_with('Z')) text.remove_suffix(1);
  std::string out(text);
  if (out.size() > 10 && out[10] == 'T') out[10] = ' ';
  if (out.size() == 16) out += ":00";
  if (out.size() == 19) out += '.';
  if (out.size() > 26) return std::nullopt;
  while (out.size() < 26) out += '0';
  // What is left is a time if it reads the same once it is written again.
  std::tm parts{};
  long fraction = 0;
  if (std::sscanf(out.c_str(), "%4d-%2d-%2d %2d:%2d:%2d.%6ld", &parts.tm_year, &parts.tm_mon,
                  &parts.tm_mday, &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &fraction) != 7) {
    return std::nullopt;
  }
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  const std::string again = utc_text(std::int64_t{timegm(&parts)} * 1'000'000 + fraction);
  return again == out ? std::optional(out) : std::nullopt;
}

bool wait_for(const std::string& mirror, const WaitGoal& goal, std::optional<milliseconds> timeout,
              const daystream::program::Signals& signals) {
  const Database db = open_for_reading(mirror);
  const UniqueFd watcher = watch(mirror);
  const auto end = steady_clock::now() + timeout.value_or(milliseconds(0));
  for (;;) {
    drain(watcher.get());
    const Checkpoint at = load_checkpoint(db);
    if ((!goal.lsn || at.lsn >= *goal.lsn) && at.complete_to >= goal.time) return true;
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
