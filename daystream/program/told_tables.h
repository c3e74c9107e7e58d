// What a stream without the plugin says of tables that its publication does not tell whole: how it
// stands in a holding's options, and what is said of it to people.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "daystream/manifest.h"
#include "src/untold.h"

namespace daystream::program {

// A holding has the option `untold-REASON` with a list of the tables whose changes are missing; an
// empty list: all.
inline constexpr std::array<Untold, 5> kUntoldReasons = {
    Untold::Actions, Untold::ViaRoot, Untold::RowFilter, Untold::Columns, Untold::Shapes};

// The option's name. NotThere has none: such a table is just not in the holding's list.
std::string_view untold_option(Untold why) noexcept;

struct UntoldText {
  std::string what;
  std::string hint;  // what to do about it
};
// `table`: as SQL spells it.
UntoldText untold_text(Untold why, std::string_view publication, std::string_view table);

// The value of an option that a holding says; it lives as long as the holding. nullopt: it has
// none.
std::optional<std::string_view> option_of(const Holding& holding, std::string_view name);

// Why a stream of `holding`, whose list of tables does not have `table` (spelt as `_table` spells
// it), does not tell it; nullopt: it is not made of a publication.
std::optional<UntoldText> why_untold(const Holding& holding, std::string_view table);

}  // namespace daystream::program
