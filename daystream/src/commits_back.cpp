#include "commits_back.h"

#include "reader_source.h"
#include "stream_view.h"

namespace daystream {

std::optional<Position> position_before_last(const std::filesystem::path& source,
                                             std::uint64_t commits) {
  if (const auto url = remote_url(source)) return remote_hooks.back(*url, commits);
  const auto dir = real_dir(source);
  const StreamView view(*dir);
  std::uint64_t seen = 0;
  for (auto day = view.days().rbegin(); day != view.days().rend(); ++day) {
    const DayView open = view.open(*day);
    const Seeker seeker(*open.file, open.limit);
    for (auto end = seeker.last_end_before(open.limit); end;
         end = seeker.last_end_before(end->begin)) {
      if (end->action == Action::Commit && seen++ == commits) return end->position;
    }
  }
  return std::nullopt;
}

}  // namespace daystream
