// Timelines: whether what we hold is part of the history of the server we are connected to.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "daystream/lsn.h"
#include "server/replication_connection.h"

namespace deltastream {

using TimelineId = std::uint32_t;

// One line of a timeline history file: `timeline` was left at `end`.
struct TimelineSwitch {
  TimelineId timeline = 0;
  daystream::Lsn end;
};
// Throws ProtocolError on text that is not a history file.
std::vector<TimelineSwitch> parse_timeline_history(std::string_view text);

// The timeline of the last line that names one; nullopt: none does (a stream from a pipe). Reads
// the last day backwards, so that it is quick however long the day is.
std::optional<TimelineId> last_timeline(const std::filesystem::path& directory,
                                        const std::string& last_day);

// Throws NeedsPerson (diverged) unless the server, on timeline `theirs`, went through `last_lsn` on
// timeline `ours`.
void check_timeline(ReplicationConnection& connection, TimelineId ours, TimelineId theirs,
                    daystream::Lsn last_lsn);

}  // namespace deltastream
