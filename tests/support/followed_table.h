// A mirrored table `NAME(id integer PRIMARY KEY)`, as one that was seeded and is followed.
#pragma once

#include <cstdint>
#include <string>

#include "owner/retries.h"
#include "seed/requests.h"

namespace support {

inline deltamirror::MirroredTable followed_table(const deltamirror::TableRequest& request,
                                                 std::uint32_t oid, const std::string& line_name) {
  deltamirror::MirroredTable table = deltamirror::absent_table(request);
  table.standing.state = deltamirror::TableState::Following;
  table.standing.hidden = false;
  table.shape.oid = oid;
  table.shape.line_name = line_name;
  table.shape.identity = 'd';
  table.shape.primary_key = {1};
  table.shape.columns = {{1, "id", "integer", true}};
  table.columns = {{.attnum = 1,
                    .name = "id",
                    .type = deltamirror::TypeNames().resolve("integer").value(),
                    .type_override = {}}};
  return table;
}

}  // namespace support
