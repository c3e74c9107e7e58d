// What can go wrong, for all programs of this project. Each child exists because a caller acts
// differently on it; the text is the message a person reads (PostgreSQL's style: lower case, names
// quoted, no full stop), the hint a line of advice of its own.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace daystream {

// The exit codes of every program (docs/errors.md#exit-codes).
enum class ExitCode : int { Done = 0, Failed = 1, Usage = 2, NeedsPerson = 3 };

// What a failure that another system tells of is to us. Which of its codes and words stand for
// which is said in one place (src/reasons.h, for people docs/errors.md#what-other-systems-say).
enum class Reason {
  Away,        // it passes by itself: who waits goes on
  Failed,      // the next start may succeed
  Refused,     // who had it before waits, as somebody may be changing it; others as NeedsPerson
  NeedsPerson  // it stays so until somebody has changed something
};
constexpr bool is_retryable(Reason reason) noexcept {
  return reason == Reason::Away || reason == Reason::Refused;
}
constexpr bool is_retryable_at_first(Reason reason) noexcept {
  return reason == Reason::Away;
}
constexpr ExitCode exit_code_of(Reason reason) noexcept {
  const bool is_for_people = reason == Reason::Refused || reason == Reason::NeedsPerson;
  return is_for_people ? ExitCode::NeedsPerson : ExitCode::Failed;
}

class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message, std::string hint = {})
      : std::runtime_error(message), hint_(std::move(hint)) {}

  const std::string& hint() const noexcept { return hint_; }  // advice, or empty

  // True where waiting and trying again may help without a person.
  virtual bool retryable() const noexcept { return false; }
  // The same for who has not yet had from its server what it asks for: what is refused from the
  // first will be refused again, while what was had before may be being changed there.
  virtual bool retryable_at_first() const noexcept { return retryable(); }
  virtual ExitCode exit_code() const noexcept { return ExitCode::Failed; }

 private:
  std::string hint_;
};

// A system call on a file failed. `what()` ends in the text of `error_number()`, by which it hints
// at what to do unless given a hint. What this user may not do, or what is another kind of file,
// is for a person.
class IoError : public Error {
 public:
  // `action` is like: could not open day file "2026-11-21.tsv".
  IoError(const std::string& action, int error_number, std::string hint = {});
  int error_number() const noexcept { return error_number_; }  // errno as it was
  ExitCode exit_code() const noexcept override;

 private:
  int error_number_;
};

// Bytes on disk are not what was written. Names file and byte; hints at a copy unless given a hint.
class Corruption : public Error {
 public:
  Corruption(const std::string& file, std::uint64_t offset_bytes, const std::string& problem,
             std::string hint = {});
  const std::string& file() const noexcept { return file_; }
  const std::string& problem() const noexcept { return problem_; }
  std::uint64_t offset_bytes() const noexcept { return offset_bytes_; }
  ExitCode exit_code() const noexcept override { return ExitCode::NeedsPerson; }

 private:
  std::string file_;
  std::string problem_;
  std::uint64_t offset_bytes_;
};

// The same at the end of a stream that has no `durable`, as after a loss of power: nothing says
// that these bytes were ever on disk. Its writer cuts what is torn when it starts, so a
// follower waits.
class TornEnd : public Corruption {
 public:
  explicit TornEnd(const Corruption& damage);
  bool retryable() const noexcept override { return true; }
};

// What comes after the asked-for position is no longer there, or a `gap` line was met: going on
// would skip changes.
class PositionGone : public Error {
 public:
  using Error::Error;
  ExitCode exit_code() const noexcept override { return ExitCode::NeedsPerson; }
};

// Another cluster, database, slot, timeline or stream than the one expected.
class WrongSource : public Error {
 public:
  using Error::Error;
  ExitCode exit_code() const noexcept override { return ExitCode::NeedsPerson; }
};

// The peer or its text does not keep to the protocol or the line format: it would say the same
// again, so nobody waits for it.
class ProtocolError : public Error {
 public:
  explicit ProtocolError(const std::string& message,
                         std::string hint =
                             "who wrote that is of another version, or it was "
                             "damaged on its way: use one version of all parts")
      : Error(message, std::move(hint)) {}
  ExitCode exit_code() const noexcept override { return ExitCode::NeedsPerson; }
};

// The connection ended or could not be made; trying again may help.
class ConnectionLost : public Error {
 public:
  // `reason`: Away, or Refused, where who was asked is there and does not let us in as we come.
  explicit ConnectionLost(const std::string& message, std::string hint = {},
                          Reason reason = Reason::Away)
      : Error(message, std::move(hint)), reason_(reason) {}
  Reason reason() const noexcept { return reason_; }
  bool retryable() const noexcept override { return is_retryable(reason_); }
  bool retryable_at_first() const noexcept override { return is_retryable_at_first(reason_); }
  ExitCode exit_code() const noexcept override { return exit_code_of(reason_); }

 private:
  Reason reason_;
};

// A flag, a configuration file or an argument is wrong: nothing was begun.
class ConfigError : public Error {
 public:
  using Error::Error;
  ExitCode exit_code() const noexcept override { return ExitCode::Usage; }
};

// Something only a person (or a re-seed) can mend: diverged, lost slot, table not in the stream.
class NeedsPerson : public Error {
 public:
  using Error::Error;
  ExitCode exit_code() const noexcept override { return ExitCode::NeedsPerson; }
};

}  // namespace daystream
