// What may be done with a descriptor that perhaps is a terminal's.
#pragma once

#include <cstddef>

namespace daystream::program {

bool is_terminal(int fd) noexcept;
// Whether lines may be written over, which takes more than a terminal that is dumb (TERM).
bool may_redraw(int fd) noexcept;
// Whether colours are welcome: neither where it may not, nor with NO_COLOR (no-color.org).
bool may_colour(int fd) noexcept;
// Characters in a line; 80 where that is not known.
std::size_t width_of_terminal(int fd) noexcept;

}  // namespace daystream::program
