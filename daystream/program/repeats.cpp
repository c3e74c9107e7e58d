#include "program/repeats.h"

#include <fmt/format.h>

namespace daystream::program {

namespace {
constexpr std::chrono::seconds kSayAgain{60};
constexpr std::size_t kMostTexts = 16;  // texts that hold a number, say, are never the same
}  // namespace

std::optional<std::string> Repeats::met(const std::string& problem, Clock::time_point now) {
  if (problems_.size() >= kMostTexts && !problems_.contains(problem)) problems_.clear();
  Met& met = problems_[problem];
  if (++met.times == 1) {
    met.first = met.said = now;
    return problem;
  }
  if (now - met.said < kSayAgain) return std::nullopt;
  met.said = now;
  const auto since = std::chrono::duration_cast<std::chrono::minutes>(now - met.first);
  return fmt::format("{} (for {} min now, {} times)", problem, since.count(), met.times);
}

}  // namespace daystream::program
