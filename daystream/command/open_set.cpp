#include "open_set.h"

#include <sys/resource.h>

#include <algorithm>

namespace daystream::command {

namespace {

constexpr std::size_t kOthers = 32;  // descriptors for all else

std::size_t descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);  // else as many as there may be now
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

}  // namespace

OpenSet::OpenSet(std::size_t each) {
  const std::size_t limit = descriptor_limit();
  most_ = std::max<std::size_t>(2, (limit - std::min(limit, kOthers)) / each);
}

void OpenSet::use(Member& member) {
  if (member.place_) {
    open_.splice(open_.begin(), open_, *member.place_);
    return;
  }
  for (auto at = open_.end(); open_.size() >= most_ && at != open_.begin();) {
    Member& oldest = **--at;
    if (!oldest.may_close()) continue;
    oldest.close();
    oldest.place_.reset();
    at = open_.erase(at);
  }
  open_.push_front(&member);
  member.place_ = open_.begin();
}

}  // namespace daystream::command
