// A refusal as the protocol says it: status code, machine-readable code, and the two lines a person
// reads (PROTOCOL.md, "Refusals").
#pragma once

#include <stdexcept>
#include <string>

namespace daystream::serve {

class HttpError : public std::runtime_error {
 public:
  HttpError(int status, std::string code, const std::string& message, std::string hint = {})
      : std::runtime_error(message),
        status_(status),
        code_(std::move(code)),
        hint_(std::move(hint)) {}

  int status() const noexcept { return status_; }
  const std::string& code() const noexcept { return code_; }
  const std::string& hint() const noexcept { return hint_; }

 private:
  int status_;
  std::string code_;
  std::string hint_;
};

}  // namespace daystream::serve
