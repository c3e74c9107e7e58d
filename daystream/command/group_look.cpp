#include "group_look.h"

#include <algorithm>
#include <utility>

#include "daystream/error.h"
#include "daystream/reader.h"
#include "part_sieve.h"
#include "sharing/dead_letters.h"

namespace daystream::command {

namespace {

using sharing::GroupStatus;
using sharing::PartStatus;
using std::chrono::steady_clock;

// For all parts of a stream's groups whose next transaction is not known yet.
constexpr std::chrono::milliseconds kPatience{200};

// What was found of the part holds as long as the part is not put back: a stream does not change.
void take_over(PartStatus& status, const PartStatus& before) {
  const Position done = status.record.position;
  if (done < before.record.position) return;
  if (before.oldest && done < *before.oldest) {
    status.oldest = before.oldest;
    status.is_known = true;
  }
  status.searched = std::max(done, before.searched);
}

void search(PartStatus& status, Reader& reader, PartSieve& sieve, steady_clock::time_point until) {
  while (Transaction* transaction = reader.next()) {
    const bool is_wanted =
        transaction->kind() == Transaction::Kind::Transaction && sieve.wants(*transaction);
    if (is_wanted) {
      status.oldest = transaction->position();
      break;
    }
    status.searched = transaction->position();
    if (steady_clock::now() >= until) return;
  }
  status.is_known = true;
}

void measure_lag(PartStatus& status, const Stream& stream, const sharing::Rule& rule,
                 const PartStatus* before, steady_clock::time_point until) {
  status.searched = status.record.position;
  if (before != nullptr) take_over(status, *before);
  try {
    Reader reader(stream, {status.record.position, status.record.lsn});
    status.lag_bytes = reader.backlog_bytes();
    if (status.is_known) return;
    PartSieve sieve({stream, rule, status.part, Format::Tsv}, status.searched);
    if (status.searched == status.record.position) return search(status, reader, sieve, until);
    Reader further(stream, {status.searched, std::nullopt});
    search(status, further, sieve, until);
  } catch (const PositionGone& e) {
    status.lag_bytes.reset();
    status.oldest.reset();
    status.is_known = false;
    status.record.problem = e.what();
  }
}

}  // namespace

GroupStatus group_status(const Stream& stream, sharing::FileStore& store, const GroupLook& look) {
  GroupStatus status;
  status.name = store.folder().filename().string();
  status.rule = store.rule();
  status.paused = store.is_paused();
  const sharing::BootTime now = sharing::boot_time();
  for (sharing::Member& member : store.members()) {
    if (member.lives(now)) status.workers.push_back(std::move(member));
  }
  const auto letters = sharing::DeadLetters(store.folder()).list();
  const bool is_same = look.before != nullptr && look.before->rule == status.rule;
  for (std::uint32_t part = 0; part < status.rule.into; ++part) {
    PartStatus one;
    one.part = part;
    one.record = store.part(part);
    one.held = one.record.is_held(now);
    const auto dead =
        std::count_if(letters.begin(), letters.end(),
                      [&](const sharing::DeadLetter& letter) { return letter.part == part; });
    one.dead_letters = static_cast<std::uint64_t>(dead);
    measure_lag(one, stream, status.rule, is_same ? &look.before->parts.at(part) : nullptr,
                look.until);
    status.parts.push_back(std::move(one));
  }
  return status;
}

std::vector<GroupStatus> groups_status(const Stream& stream, const std::filesystem::path& folder,
                                       const std::vector<GroupStatus>& before,
                                       const std::function<void(const std::string&)>& failed) {
  std::vector<GroupStatus> all;
  const auto until = steady_clock::now() + kPatience;
  for (const std::string& name : sharing::FileStore::names(folder)) {
    const auto same = std::find_if(before.begin(), before.end(),
                                   [&](const GroupStatus& group) { return group.name == name; });
    try {
      sharing::FileStore store(sharing::FileStore::folder_of(folder, name));
      all.push_back(group_status(stream, store, {same == before.end() ? nullptr : &*same, until}));
    } catch (const std::exception& e) {
      if (sharing::FileStore::is_there(folder / name)) failed(e.what());  // else it was dropped
    }
  }
  return all;
}

}  // namespace daystream::command
