#include "model/mvcc_snapshot.h"

#include <fmt/format.h>

#include <algorithm>

#include "daystream/error.h"
#include "src/number.h"

namespace deltamirror {

MvccSnapshot MvccSnapshot::parse(std::string_view text) {
  MvccSnapshot snapshot;
  std::string_view rest = text;
  const auto number = [&](std::string_view until) {
    const std::string_view digits = rest.substr(0, rest.find_first_of(until));
    const auto value = daystream::parse_number<std::uint64_t>(digits);
    if (!value) throw daystream::ProtocolError(fmt::format("\"{}\" is not a snapshot", text));
    rest.remove_prefix(digits.size());
    return *value;
  };
  const auto colon = [&] {
    if (!rest.starts_with(':')) {
      throw daystream::ProtocolError(fmt::format("\"{}\" is not a snapshot", text));
    }
    rest.remove_prefix(1);
  };
  snapshot.xmin_ = number(":");
  colon();
  snapshot.xmax_ = number(":");
  colon();
  while (!rest.empty()) {
    snapshot.running_.push_back(number(","));
    if (!rest.empty()) rest.remove_prefix(1);
  }
  std::sort(snapshot.running_.begin(), snapshot.running_.end());
  return snapshot;
}

std::string MvccSnapshot::text() const {
  return fmt::format("{}:{}:{}", xmin_, xmax_, fmt::join(running_, ","));
}

bool MvccSnapshot::sees(std::uint64_t xid) const noexcept {
  if (xid < xmin_) return true;
  if (xid >= xmax_) return false;
  return !std::binary_search(running_.begin(), running_.end(), xid);
}

}  // namespace deltamirror
