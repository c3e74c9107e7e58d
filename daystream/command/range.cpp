#include "range.h"

#include <fmt/format.h>

#include <ctime>
#include <limits>
#include <variant>

#include "daystream/error.h"
#include "program/when.h"

namespace daystream::command {

using program::parse_lsn;
using program::parse_position;
using program::parse_when;
using program::Time;
using program::When;

namespace {

constexpr std::uint64_t kLastOfSecond = std::numeric_limits<std::uint64_t>::max();

std::optional<Position> before_second(std::int64_t seconds) {
  if (seconds <= 0) return std::nullopt;
  return Position{seconds - 1, kLastOfSecond};
}

// A time, a position and an LSN are not compared with each other.
bool is_later(const When& since, const When& until) {
  if (since.index() != until.index()) return false;
  if (const auto* time = std::get_if<Time>(&since)) {
    return time->seconds > std::get<Time>(until).seconds;
  }
  if (const auto* position = std::get_if<Position>(&since)) {
    return *position > std::get<Position>(until);
  }
  return std::get<Lsn>(since) > std::get<Lsn>(until);
}

}  // namespace

bool Until::passed(const Transaction& transaction) const {
  if (position && transaction.position() > *position) return true;
  return lsn && transaction.kind() == Transaction::Kind::Transaction && transaction.lsn() > *lsn;
}

StartAfter start_of(const RangeOptions& options, const Stream& stream) {
  if (!options.after.empty()) return {parse_position("--after", options.after), std::nullopt};
  if (!options.lsn.empty()) {
    // A commit's LSN is where it ends: the transaction that holds an LSN is the first to end at or
    // after it.
    const Lsn lsn = parse_lsn("--lsn", options.lsn);
    if (lsn.value == 0) return {};
    return {Position::begin(), Lsn{lsn.value - 1}};
  }
  if (options.since.empty()) return {};
  const When since = parse_when("--since", options.since, std::time(nullptr));
  const auto bounds = stream.extent();
  if (!bounds) return {};
  StartAfter start;
  if (const auto* time = std::get_if<Time>(&since)) {
    start.position = before_second(time->seconds).value_or(Position::begin());
  } else if (const auto* position = std::get_if<Position>(&since)) {
    if (position->s > 0)
      start.position = {position->c, position->s - 1};
    else
      start.position = before_second(position->c).value_or(Position::begin());
  } else {
    const Lsn lsn = std::get<Lsn>(since);
    if (lsn.value == 0) return {};
    start.lsn = Lsn{lsn.value - 1};
  }
  // From before what is kept: all that is kept. (After a position this would be a gap: an error.)
  if (!start.lsn && start.position < bounds->first) return {};
  return start;
}

Until until_of(const RangeOptions& options) {
  Until until;
  if (options.until.empty()) return until;
  const std::int64_t now = std::time(nullptr);
  const When when = parse_when("--until", options.until, now);
  if (!options.since.empty() && is_later(parse_when("--since", options.since, now), when)) {
    throw ConfigError(
        fmt::format("--since \"{}\" is later than --until \"{}\"", options.since, options.until),
        "exchange them; a time without a day is of today, in UTC");
  }
  if (const auto* time = std::get_if<Time>(&when)) {
    until.position = before_second(time->seconds).value_or(Position::begin());
  } else if (const auto* position = std::get_if<Position>(&when)) {
    until.position = *position;
  } else {
    until.lsn = std::get<Lsn>(when);
  }
  return until;
}

}  // namespace daystream::command
