// What a PostgreSQL snapshot sees (pg_current_snapshot(): `xmin:xmax:xid,xid…`).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace deltamirror {

// A value. All ids are 64-bit: they never wrap.
class MvccSnapshot {
 public:
  MvccSnapshot() noexcept = default;
  // Throws ProtocolError on text that is not a snapshot.
  static MvccSnapshot parse(std::string_view text);
  std::string text() const;

  // Whether the snapshot sees what transaction `xid` did, given that it committed.
  bool sees(std::uint64_t xid) const noexcept;

  std::uint64_t xmin() const noexcept { return xmin_; }  // every id below was over
  std::uint64_t xmax() const noexcept { return xmax_; }  // no id from here on is seen
  const std::vector<std::uint64_t>& running() const noexcept { return running_; }

 private:
  std::uint64_t xmin_ = 0;
  std::uint64_t xmax_ = 0;
  std::vector<std::uint64_t> running_;  // sorted
};

}  // namespace deltamirror
