// What a mirror makes of a table.
#pragma once

#include <cstdint>
#include <string_view>

namespace deltamirror {

enum class TableMode : std::uint8_t {
  Mirror,        // the rows as they are
  History,       // every change of them
  LatestPerDay,  // each row as it was at the end of each day on which it changed
};

constexpr std::string_view mode_name(TableMode mode) noexcept {
  return mode == TableMode::History        ? "history"
         : mode == TableMode::LatestPerDay ? "latest-per-day"
                                           : "mirror";
}
constexpr TableMode mode_named(std::string_view name) noexcept {
  return name == "history"          ? TableMode::History
         : name == "latest-per-day" ? TableMode::LatestPerDay
                                    : TableMode::Mirror;
}

}  // namespace deltamirror
