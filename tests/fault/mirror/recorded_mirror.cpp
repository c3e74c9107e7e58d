#include "recorded_mirror.h"

#include <csignal>

#include "common/invariant_reader.h"
#include "common/streaming.h"
#include "support/process.h"
#include "support/row_compare.h"
#include "support/sqlite_reader.h"

namespace fault {

namespace fs = std::filesystem;
using support::Process;

RecordedMirror::RecordedMirror(std::uint64_t ok_transactions, std::uint64_t seed_number)
    : workload_(cluster_) {
  Process stream({support::program("deltastream"), "-d", cluster_.conninfo(), "-S", "m", "-D",
                  daystream(), "--create-slot"});
  wait_until_streaming(daystream(), stream);
  fs::create_directory(dir_ / "seeded");
  support::run_ok(seed(dir_ / "seeded/mirror.db"));

  workload_.start(3, seed_number);
  const bool enough = support::eventually([&] { return workload_.ok_count() >= ok_transactions; });
  workload_.stop();
  if (!enough) throw std::runtime_error("the workload does not get on");
  // SIGTERM alone may leave behind what has not been sent yet.
  const std::uint64_t end =
      support::parse_lsn(cluster_.scalar("SELECT pg_current_wal_flush_lsn()"));
  const bool streamed = support::eventually([&] {
    return support::parse_lsn(
               cluster_.scalar("SELECT confirmed_flush_lsn FROM pg_replication_slots")) >= end;
  });
  if (!streamed) throw std::runtime_error("deltastream does not keep up: " + stream.err());
  stream.signal(SIGTERM);
  stream.wait();
}

fs::path RecordedMirror::fresh_copy(const fs::path& into) const {
  fs::create_directories(into);
  fs::copy(dir_ / "seeded", into);
  return into / "mirror.db";
}

std::vector<std::string> RecordedMirror::replay(const fs::path& mirror) const {
  return replay_command(daystream(), mirror);
}

std::vector<std::string> RecordedMirror::seed(const fs::path& mirror) const {
  return seed_command(cluster_, daystream(), mirror);
}

std::vector<std::string> RecordedMirror::complaints(const fs::path& mirror) {
  std::vector<std::string> out = state_complaints(mirror);
  support::Session session = cluster_.session();
  for (std::string& difference : support::compare_tables(session, mirror, Workload::tables())) {
    out.push_back(std::move(difference));
  }
  return out;
}

std::vector<std::string> RecordedMirror::state_complaints(const fs::path& mirror) {
  std::vector<std::string> out = InvariantReader::look_once(mirror);
  const std::string integrity = support::integrity_check(mirror);
  if (integrity != "ok") out.push_back(integrity);
  return out;
}

std::int64_t mirror_n(const fs::path& mirror) {
  return std::stoll(support::SqliteReader(mirror).scalar("SELECT n FROM seq"));
}

}  // namespace fault
