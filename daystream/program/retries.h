// Trying again what only time or somebody else can mend: whether that can help, what is said of it
// meanwhile, and how long to wait.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "daystream/error.h"
#include "program/pauses.h"
#include "program/repeats.h"

namespace daystream::program {

// Threads: one.
class Retries {
 public:
  explicit Retries(Pauses pauses = Pauses()) : pauses_(pauses) {}

  // Whoever is asked has answered as it should, in this run: from now on a refusal is waited out
  // too, as somebody may be changing it.
  void let_in() noexcept { is_let_in_ = true; }
  bool is_let_in() const noexcept { return is_let_in_; }
  bool may_pass(const Error& error) const noexcept {
    return is_let_in_ ? error.retryable() : error.retryable_at_first();
  }

  // A try failed. Logs it as a warning, at once and then once a minute while it stays the same.
  // `before` is put before the text. True: it was said now.
  bool failed(const Error& error, std::string_view before = {}) {
    return failed(error.what(), error.hint(), before);
  }
  bool failed(const std::string& problem, const std::string& hint, std::string_view before = {});
  // What a try says of itself, which the next one would say again: as failed().
  std::optional<std::string> met(const std::string& text) { return repeats_.met(text); }
  // How long to wait before the next try.
  std::chrono::milliseconds pause() { return pauses_.next(); }

  // It got somewhere: the next trouble is news, and the pauses begin with the shortest. To connect
  // alone is not it: a server that accepts and breaks off at once is not to be asked ten times a
  // second, nor written of.
  void worked() noexcept {
    pauses_.reset();
    repeats_.clear();
  }

 private:
  Repeats repeats_;
  Pauses pauses_;
  bool is_let_in_ = false;
};

}  // namespace daystream::program
