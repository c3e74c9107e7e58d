#include "server/timeline.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <string>

#include "daystream/error.h"
#include "daystream/line.h"
#include "daystream/unique_fd.h"
#include "program/postgres.h"
#include "src/last_newline.h"

namespace deltastream {

using daystream::Lsn;
using daystream::NeedsPerson;

std::vector<TimelineSwitch> parse_timeline_history(std::string_view text) {
  std::vector<TimelineSwitch> out;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    if (line.empty() || line.front() == '#') continue;
    TimelineSwitch entry;
    const auto [end, error] =
        std::from_chars(line.data(), line.data() + line.size(), entry.timeline);
    const std::size_t digits = static_cast<std::size_t>(end - line.data());
    const std::size_t from = line.find_first_not_of(" \t", digits);
    std::optional<Lsn> lsn;
    if (error == std::errc() && from != std::string_view::npos) {
      lsn = Lsn::parse(line.substr(from, line.find_first_of(" \t", from) - from));
    }
    if (!lsn) {
      throw daystream::ProtocolError(fmt::format("cannot read timeline history line \"{}\"", line));
    }
    entry.end = *lsn;
    out.push_back(entry);
  }
  return out;
}

namespace {

// Finds the last whole line in `text` that is a mark and names a timeline.
std::optional<TimelineId> timeline_in(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0) {
    const std::size_t key = text.substr(0, end).rfind("\t_timeline\t");
    if (key == std::string_view::npos) return std::nullopt;
    const std::size_t begin =
        daystream::last_newline(text.substr(0, key)) + 1;  // npos + 1 is 0: the first line
    const std::size_t stop = text.find('\n', key);
    end = key;
    if (stop == std::string_view::npos) continue;
    try {
      daystream::FieldCursor line(text.substr(begin, stop - begin));
      std::string_view name, value;
      line.next(name, value);  // _c
      line.next(name, value);  // _s
      const daystream::Change change = daystream::parse_change(line.rest());
      if (change.action == daystream::Action::Mark && change.timeline) return change.timeline;
    } catch (const daystream::ProtocolError&) {
      // A row that holds such text, or the end of a line whose begin is before `text`.
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<TimelineId> last_timeline(const std::filesystem::path& directory,
                                        const std::string& last_day) {
  const std::string name = last_day + ".tsv";
  const daystream::UniqueFd file(
      ::open((directory / name).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat info {};
  if (!file || ::fstat(file.get(), &info) != 0) {
    throw daystream::IoError(fmt::format("could not open day file \"{}\"", name), errno);
  }
  // Blocks from the end, each with the first bytes of the one after it, for a line across both.
  constexpr std::uint64_t kBlockBytes = 1 << 20;
  constexpr std::uint64_t kOverlapBytes = 64 << 10;  // a mark is far smaller
  std::string block;
  std::uint64_t end = static_cast<std::uint64_t>(info.st_size);
  const std::uint64_t size = end;
  while (end > 0) {
    const std::uint64_t begin = end > kBlockBytes ? end - kBlockBytes : 0;
    block.resize(std::min(end + kOverlapBytes, size) - begin);
    std::size_t got = 0;
    while (got < block.size()) {
      const ssize_t n = ::pread(file.get(), block.data() + got, block.size() - got,
                                static_cast<off_t>(begin + got));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0)
        throw daystream::IoError(fmt::format("could not read day file \"{}\"", name), errno);
      if (n == 0) break;
      got += static_cast<std::size_t>(n);
    }
    block.resize(got);
    if (const auto timeline = timeline_in(block)) return timeline;
    end = begin;
  }
  return std::nullopt;
}

void check_timeline(ReplicationConnection& connection, TimelineId ours, TimelineId theirs,
                    Lsn last_lsn) {
  if (ours == theirs) return;
  constexpr const char* kHint =
      "this daystream holds changes the server does not have: begin a new daystream in another "
      "directory, with a new slot, and re-seed its mirrors";
  if (theirs < ours) {
    throw NeedsPerson(fmt::format("diverged: the server is on timeline {}, this daystream already "
                                  "on timeline {}",
                                  theirs, ours),
                      kHint);
  }
  const auto result = [&] {
    try {
      return connection.exec(fmt::format("TIMELINE_HISTORY {}", theirs));
    } catch (const daystream::program::SqlError& e) {
      // After pg_resetwal nobody has it.
      if (e.sqlstate() != "58P01") throw;
      throw NeedsPerson(fmt::format("diverged: the server is on timeline {}, which this daystream "
                                    "on timeline {} is not known to lead to, as its history is "
                                    "gone: {}",
                                    theirs, ours, e.what()),
                        kHint);
    }
  }();
  const std::string_view text(PQgetvalue(result.get(), 0, 1),
                              static_cast<std::size_t>(PQgetlength(result.get(), 0, 1)));
  for (const TimelineSwitch& entry : parse_timeline_history(text)) {
    if (entry.timeline != ours) continue;
    if (last_lsn <= entry.end) return;
    throw NeedsPerson(fmt::format("diverged: the server left timeline {} at {}, before {}, where "
                                  "this daystream is",
                                  ours, entry.end.text(), last_lsn.text()),
                      kHint);
  }
  throw NeedsPerson(
      fmt::format("diverged: timeline {} of this daystream is not in the history of the server's "
                  "timeline {}",
                  ours, theirs),
      kHint);
}

}  // namespace deltastream
