// Figures for people.
#pragma once

#include <cstdint>
#include <string>

namespace daystream::command {

std::string bytes_text(double bytes);                               // 1.4 GB
std::string count_text(std::uint64_t count, const char* singular);  // 1 line, 20 lines

}  // namespace daystream::command
