// Whether a daystream holds all changes of a table.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daystream/manifest.h"
#include "model/shape.h"

namespace deltamirror {

// Why `holding` is not enough to follow the table that lines call `line_name`, and what to do
// about it; nullopt: it is.
struct NotHeld {
  std::string why;
  std::string hint;
};
std::optional<NotHeld> why_not_held(const daystream::Holding& holding, std::string_view line_name,
                                    Partitioning partitioning);

// What changes the tables of a stream: the statement about its publication (`verb`: ADD, DROP), or
// `otherwise` where it is not by one.
std::string how_to_change(const daystream::Holding& holding, const std::string& table,
                          const std::string& verb, const std::string& otherwise);

// The same for a table that takes part in partitioning: its filter `exclude-tables` leaves rows of
// it out where it names one of `relatives`, which are spelt as `_table` spells them.
std::optional<NotHeld> why_excluded(const daystream::Holding& holding,
                                    const std::vector<std::string>& relatives);

// Since when the stream has held the table without a break; nullopt: it does not now.
std::optional<daystream::Position> held_since(const daystream::Manifest& manifest,
                                              std::string_view line_name,
                                              Partitioning partitioning);

// Throws NeedsPerson where it is merged of several databases.
void require_one_database(const daystream::Manifest& manifest, const std::string& address);

}  // namespace deltamirror
