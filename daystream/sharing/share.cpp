#include "share.h"

#include <algorithm>

namespace daystream::sharing {

namespace {

struct Living {
  std::string id;
  std::size_t has = 0;
};

std::vector<Living> living(const std::vector<Member>& members, const std::vector<PartRecord>& parts,
                           BootTime now) {
  std::vector<Living> result;
  for (const Member& member : members) {
    if (!member.lives(now)) continue;
    const auto has = std::count_if(parts.begin(), parts.end(), [&](const PartRecord& part) {
      return part.is_held(now) && part.holder == member.id;
    });
    result.push_back({member.id, static_cast<std::size_t>(has)});
  }
  std::sort(result.begin(), result.end(), [](const Living& a, const Living& b) {
    return a.has != b.has ? a.has > b.has : a.id < b.id;
  });
  return result;
}

}  // namespace

Share share_of(const std::string& me, const std::vector<Member>& members,
               const std::vector<PartRecord>& parts, BootTime now) {
  const std::vector<Living> all = living(members, parts, now);
  const auto mine =
      std::find_if(all.begin(), all.end(), [&](const Living& member) { return member.id == me; });
  if (mine == all.end()) return {};
  const auto rank = static_cast<std::size_t>(mine - all.begin());
  const std::size_t due = parts.size() / all.size() + (rank < parts.size() % all.size() ? 1 : 0);

  Share share;
  // Each begins its search elsewhere, so that they seldom want the same part.
  const std::size_t first = rank * parts.size() / all.size();
  for (std::size_t i = 0; i < parts.size() && mine->has + share.take.size() < due; ++i) {
    const std::size_t part = (first + i) % parts.size();
    if (!parts[part].is_held(now)) share.take.push_back(static_cast<std::uint32_t>(part));
  }
  for (std::size_t part = parts.size(); part-- > 0 && mine->has - share.give.size() > due;) {
    if (parts[part].is_held(now) && parts[part].holder == me) {
      share.give.push_back(static_cast<std::uint32_t>(part));
    }
  }
  return share;
}

}  // namespace daystream::sharing
