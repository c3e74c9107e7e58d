// Random histories by the hundred thousand, and the shortest one that fails.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <random>
#include <string>
#include <vector>

namespace simulation {

// DELTAFLOOD_FAULT_SEED where given, else new for each run; DELTAFLOOD_HISTORIES says how many.
inline std::uint64_t seed() {
  static const char* const given = std::getenv("DELTAFLOOD_FAULT_SEED");
  static const std::uint64_t chosen =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  return chosen;
}
inline int histories() {
  const char* const given = std::getenv("DELTAFLOOD_HISTORIES");
  return given != nullptr ? std::atoi(given) : 20'000;
}

// What happens, one after the other. `Event` is a value that a history is made of.
template <typename Event>
using History = std::vector<Event>;

// What is wrong with a history; empty: nothing. The same each time.
template <typename Event>
using Judge = std::function<std::string(const History<Event>&)>;

// `history`, which is wrong, without whatever it is wrong without: parts of it, smaller and
// smaller.
template <typename Event>
History<Event> shrunk(History<Event> history, const Judge<Event>& judge) {
  for (std::size_t size = history.size() / 2; size > 0;) {
    bool any = false;
    for (std::size_t at = 0; at + size <= history.size();) {
      History<Event> less = history;
      const auto begin = std::next(less.begin(), static_cast<std::ptrdiff_t>(at));
      less.erase(begin, std::next(begin, static_cast<std::ptrdiff_t>(size)));
      if (judge(less).empty()) {
        at += size;
      } else {
        history = std::move(less);
        any = true;
      }
    }
    if (!any || size > history.size()) size = std::min(size, history.size()) / 2;
  }
  return history;
}

// Draws histories of up to `longest` events and judges them. Empty: nothing is wrong; else what is,
// with the shortest history that shows it, and the seed of this run. One that costs as much as so
// many others is tried so many times less often.
template <typename Event>
std::string try_histories(std::size_t longest,
                          const std::function<Event(std::mt19937_64& random)>& draw,
                          const Judge<Event>& judge,
                          const std::function<std::string(const Event&)>& text, int cost = 1) {
  std::mt19937_64 random(seed());
  for (int i = 0; i < std::max(1, histories() / cost); ++i) {
    History<Event> history(1 + random() % longest);
    std::generate(history.begin(), history.end(), [&] { return draw(random); });
    if (judge(history).empty()) continue;
    history = shrunk(std::move(history), judge);
    std::string out = judge(history) + ", after:\n";
    for (const Event& event : history) out += "  " + text(event) + "\n";
    return out + "DELTAFLOOD_FAULT_SEED=" + std::to_string(seed()) + " repeats it";
  }
  return "";
}

}  // namespace simulation
