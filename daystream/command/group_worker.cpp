#include "group_worker.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <exception>
#include <map>
#include <memory>
#include <set>

#include "calendar.h"
#include "daystream/error.h"
#include "daystream/manifest.h"
#include "part_runner.h"
#include "program/notify.h"
#include "program/program.h"
#include "program/when.h"
#include "sharing/file_store.h"
#include "sharing/share.h"

namespace daystream::command {

namespace {

using sharing::BootTime;
using sharing::FileStore;
using sharing::Lease;

sharing::Rule wished_rule(const WorkerOptions& options, const Stream& stream) {
  if (options.group.into == 0) {
    throw ConfigError(fmt::format("there is no consumer group \"{}\" yet", options.group.name),
                      "say into how many parts it is to share out the stream, for good: --into 8");
  }
  sharing::Rule rule;
  rule.by = options.group.by == "table" ? sharing::By::Table : sharing::By::Key;
  rule.into = options.group.into;
  rule.tables = options.tables;
  if (!rule.tables.empty()) check_table_list(rule.tables);
  if (options.after == "end") {
    if (const auto bounds = stream.extent()) rule.begin = bounds->last;
  } else if (!options.after.empty()) {
    rule.begin = program::parse_position("--after", options.after);
  }
  const Manifest manifest = stream.manifest();
  manifest.require_one_database(stream.address(), "make a group of each input");
  rule.system_identifier = manifest.system_identifier;
  return rule;
}

[[noreturn]] void refuse(const std::string& group, const std::string& option,
                         const std::string& is) {
  throw ConfigError(
      fmt::format("consumer group \"{}\" was made with {} {}", group, option, is),
      fmt::format("leave {} out, give the same, or give another group's name: what is shared out "
                  "in another way is another group",
                  option));
}

// As far as options were given, they must say what the group was made with.
void require_same(const GroupOptions& group, const std::string& tables, const sharing::Rule& rule,
                  const Stream& stream) {
  if (group.into != 0 && group.into != rule.into) {
    refuse(group.name, "--into", std::to_string(rule.into));
  }
  if (!group.by.empty() && group.by != by_name(rule.by)) {
    refuse(group.name, "--by", by_name(rule.by));
  }
  if (!tables.empty() && tables != rule.tables) {
    refuse(group.name, "--tables", fmt::format("\"{}\"", rule.tables));
  }
  require_same_source(fmt::format("consumer group \"{}\"", group.name),
                      {rule.system_identifier, {}, {}}, "the daystream",
                      {stream.manifest().system_identifier, {}, {}},
                      "name the daystream it belongs to, or another group", Pipe::IsAnother);
}

// Keeps the leases of its parts, takes those that are due to it, and lets go of those that are not.
class Worker {
 public:
  Worker(const WorkerOptions& options, const Stream& stream, FileStore& store)
      : store_(store),
        letters_(store.folder()),
        length_(options.group.lease_s),
        work_{stream,
              store.rule(),
              options.group.name,
              options.command,
              options.window,
              options.batch,
              options.once,
              options.format,
              options.patience,
              options.group.max_deliver,
              std::nullopt,
              news_} {
    if (!options.group.expire.empty()) {
      const auto span = program::parse_span(options.group.expire);
      if (!span) {
        throw ConfigError(
            fmt::format("\"{}\" for --expire is no length of time", options.group.expire),
            "write it as 90s, 2h or 7d");
      }
      work_.expire = std::chrono::seconds(*span);
    }
    if (options.once) {
      if (const auto bounds = stream.extent()) end_ = bounds->last;
    }
    me_.id = fmt::format("{}-{:x}", getpid(), sharing::boot_time().count());
    me_.pid = getpid();
    me_.since = utc_text(at_second(std::time(nullptr)));
    me_.boot = sharing::boot_id();
  }

  void run() {
    notify_.ready();
    while (!stop_.requested() && !failure_) {
      tick();
      if (work_.once && is_all_done()) break;
      WaitSet{stop_.fd(), news_.fd()}.wait(pace());
    }
    finish();
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  std::chrono::milliseconds pace() const {
    return std::min(std::chrono::milliseconds{1000},
                    std::chrono::duration_cast<std::chrono::milliseconds>(length_) / 6);
  }

  void tick() {
    news_.clear();
    notify_.alive();
    keep_leases();
    gather();
    if (store_.is_paused()) {
      for (auto& [part, runner] : runners_) runner->stop();
      return;
    }
    share();
    look_for_letters();
  }

  // Each third of their length.
  void keep_leases() {
    const BootTime now = sharing::boot_time();
    if (now < renew_at_) return;
    renew_at_ = now + length_ / 3;
    me_.expires_at = now + length_;
    store_.beat(me_);
    for (auto& [part, runner] : runners_) {
      try {
        runner->lease().renew();
      } catch (const sharing::LeaseLost&) {
        runner->stop();  // which says so
      }
    }
  }

  // Lets go of the parts of which nobody is at work any more.
  void gather() {
    for (auto at = runners_.begin(); at != runners_.end();) {
      if (!at->second->has_ended()) {
        ++at;
        continue;
      }
      at->second->lease().release();
      if (at->second->error()) {
        if (!failure_) failure_ = at->second->error();
      } else if (at->second->reached_end()) {
        done_.insert(at->first);
      }
      at = runners_.erase(at);
    }
  }

  void share() {
    std::vector<sharing::PartRecord> parts;
    for (std::uint32_t part = 0; part < work_.rule.into; ++part) {
      parts.push_back(store_.part(part));
    }
    const auto due = share_of(me_.id, store_.members(), parts, sharing::boot_time());
    for (const std::uint32_t part : due.give) {
      const auto at = runners_.find(part);
      if (at != runners_.end()) at->second->stop();
    }
    for (const std::uint32_t part : due.take) {
      if (runners_.contains(part) || (work_.once && is_done(part, parts[part]))) continue;
      auto lease = Lease::take(store_, {part, me_.id, length_}, clock_);
      if (!lease) continue;
      spdlog::info("took part {} of group \"{}\" (epoch {})", part, work_.group, lease->epoch());
      runners_.emplace(part, std::make_unique<PartRunner>(work_, letters_, std::move(lease)));
    }
  }

  void look_for_letters() {
    for (const sharing::DeadLetter& letter : letters_.list()) {
      const auto at = runners_.find(letter.part);
      if (letter.to_retry && at != runners_.end()) at->second->retry_letters_soon();
    }
  }

  bool is_done(std::uint32_t part, const sharing::PartRecord& record) const {
    return done_.contains(part) || record.position >= end_;
  }
  bool is_all_done() {
    if (!runners_.empty()) return false;
    for (std::uint32_t part = 0; part < work_.rule.into; ++part) {
      if (!is_done(part, store_.part(part))) return false;
    }
    return true;
  }

  void finish() {
    notify_.stopping();
    for (auto& [part, runner] : runners_) runner->stop();
    while (!runners_.empty()) {
      news_.clear();
      notify_.alive();
      keep_leases();
      gather();
      if (!runners_.empty()) WaitSet{news_.fd()}.wait(pace());
    }
    store_.leave(me_.id);
  }

  FileStore& store_;
  sharing::DeadLetters letters_;
  const std::chrono::seconds length_;
  const Lease::Clock clock_ = sharing::boot_time;
  const Stop stop_ = program::Signals().stop();
  program::Notify notify_;
  WakeFd news_;
  GroupWork work_;
  sharing::Member me_;
  BootTime renew_at_{};
  Position end_ = Position::begin();  // where the stream ended when we were started
  std::set<std::uint32_t> done_;      // with --once: up to its end
  std::exception_ptr failure_;
  std::map<std::uint32_t, std::unique_ptr<PartRunner>> runners_;  // by part; gone first
};

}  // namespace

std::filesystem::path groups_folder(const Stream& stream, const std::string& folder) {
  if (!folder.empty()) return folder;
  if (const auto directory = stream.directory()) return *directory / ".groups";
  throw ConfigError(fmt::format("\"{}\" has no directory on this host to keep a consumer group in",
                                stream.address()),
                    "give a folder of this host, which all of the group's workers share: --groups "
                    "/var/lib/groups");
}

int work_for_group(const WorkerOptions& options, const Stream& stream) {
  const auto folder =
      FileStore::folder_of(groups_folder(stream, options.group.folder), options.group.name);
  if (!FileStore::is_there(folder)) FileStore::create(folder, wished_rule(options, stream));
  FileStore store(folder);
  require_same(options.group, options.tables, store.rule(), stream);
  Worker(options, stream, store).run();
  return 0;
}

}  // namespace daystream::command
