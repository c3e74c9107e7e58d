#include "key_hash.h"

#include "crc32c.h"
#include "daystream/line.h"

namespace daystream::command {

std::optional<std::uint32_t> hash_of_key(std::uint32_t crc, const std::vector<std::string>& key,
                                         std::string_view columns) {
  for (const std::string& column : key) {
    std::string_view name;
    std::string_view value;
    bool found = false;
    for (FieldCursor cursor(columns); !found && cursor.next(name, value);) found = name == column;
    if (!found) return std::nullopt;
    crc = extend_crc(extend_crc(crc, value), "\t");
  }
  return crc;
}

}  // namespace daystream::command
