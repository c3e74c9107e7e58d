#include "snapshot/goal.h"

namespace deltamirror {

using daystream::Lsn;
using daystream::Position;
using daystream::Transaction;
using daystream::program::Time;
using daystream::program::When;

namespace {

std::int64_t micros(const Time& time) {
  return time.seconds * 1'000'000 + time.micros;
}

}  // namespace

Goal Goal::parse(const std::string& option, const std::string& text, std::int64_t now) {
  if (text == "latest") return Goal(Latest{});
  return Goal(daystream::program::parse_when(option, text, now));
}

bool Goal::is_passed_by(const Transaction& transaction) const {
  const When* when = std::get_if<When>(&place_);
  if (when == nullptr) return false;
  if (const auto* lsn = std::get_if<Lsn>(when)) return transaction.lsn() > *lsn;
  if (const auto* position = std::get_if<Position>(when)) {
    return transaction.position() > *position;
  }
  return transaction.end().time_us > micros(std::get<Time>(*when));
}

bool Goal::is_passed_by(const Checkpoint& checkpoint) const {
  const When* when = std::get_if<When>(&place_);
  if (when == nullptr) return false;
  if (const auto* lsn = std::get_if<Lsn>(when)) return checkpoint.lsn > *lsn;
  if (const auto* position = std::get_if<Position>(when)) return checkpoint.position > *position;
  return checkpoint.commit_time > timestamp_of(micros(std::get<Time>(*when)));
}

bool Goal::is_reached_by(const Checkpoint& checkpoint) const {
  const When* when = std::get_if<When>(&place_);
  if (when == nullptr) return true;
  if (const auto* lsn = std::get_if<Lsn>(when)) return checkpoint.lsn >= *lsn;
  if (const auto* position = std::get_if<Position>(when)) return checkpoint.position >= *position;
  return checkpoint.complete_to > timestamp_of(micros(std::get<Time>(*when)));
}

bool Goal::is_for_all() const noexcept {
  const When* when = std::get_if<When>(&place_);
  return when == nullptr || std::holds_alternative<Time>(*when);
}

std::optional<std::int64_t> Goal::second() const noexcept {
  const When* when = std::get_if<When>(&place_);
  if (when == nullptr) return std::nullopt;
  if (const auto* position = std::get_if<Position>(when)) return position->c;
  if (const auto* time = std::get_if<Time>(when)) return time->seconds;
  return std::nullopt;
}

std::string Goal::text() const {
  const When* when = std::get_if<When>(&place_);
  if (when == nullptr) return "the daystream's end";
  if (const auto* lsn = std::get_if<Lsn>(when)) return lsn->text();
  if (const auto* position = std::get_if<Position>(when)) return position->text();
  return timestamp_of(micros(std::get<Time>(*when)));
}

}  // namespace deltamirror
