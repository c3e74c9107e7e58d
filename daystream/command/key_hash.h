// By what rows are shared out: the parts of `split --by key` and of consumer groups.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace daystream::command {

// CRC-32C over the raw values of the key's columns, each with a TAB behind it, going on from `crc`.
// nullopt: one of them is not among `columns`, as it is unchanged and was not logged.
std::optional<std::uint32_t> hash_of_key(std::uint32_t crc, const std::vector<std::string>& key,
                                         std::string_view columns);

}  // namespace daystream::command
