// Catch2 3, which Debian 13 has, under the names of Catch2 2, which Debian 12 has and the tests use.
#pragma once

#include <catch2/catch_all.hpp>
#include <cstdint>
#include <string>

namespace Catch {

using Matchers::EndsWith;
using Matchers::Matches;
using Matchers::StartsWith;

class TestEventListenerBase : public EventListenerBase {
 public:
  using EventListenerBase::EventListenerBase;
};

inline auto Contains(const std::string& part) { return Matchers::ContainsSubstring(part); }
inline std::uint32_t rngSeed() { return getSeed(); }

}  // namespace Catch
