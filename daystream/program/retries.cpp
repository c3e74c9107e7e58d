#include "program/retries.h"

#include <spdlog/spdlog.h>

#include "program/hint.h"

namespace daystream::program {

bool Retries::failed(const std::string& problem, const std::string& hint, std::string_view before) {
  const auto text = repeats_.met(problem);
  if (text) spdlog::warn("{}{}", before, with_hint(*text + "; trying again", hint));
  return text.has_value();
}

}  // namespace daystream::program
