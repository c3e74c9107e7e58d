// The place in the past that a mirror is restored to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "daystream/transaction.h"
#include "program/when.h"
#include "store/checkpoint.h"

namespace deltamirror {

class Goal {
 public:
  // `now`: seconds since 1970. Throws ConfigError that names `option`.
  static Goal parse(const std::string& option, const std::string& text, std::int64_t now);

  // Whether `transaction` does not belong to what is wanted, nor anything after it.
  bool is_passed_by(const daystream::Transaction& transaction) const;
  // Whether a mirror at `checkpoint` has more than is wanted.
  bool is_passed_by(const Checkpoint& checkpoint) const;
  // Whether a mirror at `checkpoint` is known to have all that is wanted.
  bool is_reached_by(const Checkpoint& checkpoint) const;

  // A time, or all there is: the same for several databases.
  bool is_for_all() const noexcept;

  // The second that it is in, where it names one: a time does, and a position.
  std::optional<std::int64_t> second() const noexcept;

  std::string text() const;  // in words

 private:
  struct Latest {};
  using Place = std::variant<Latest, daystream::program::When>;
  explicit Goal(Place place) : place_(place) {}

  Place place_;
};

}  // namespace deltamirror
