#include "checkpoint.h"

#include <fmt/format.h>

#include <chrono>
#include <ctime>

namespace deltamirror {

Checkpoint load_checkpoint(const Database& db) {
  Statement select = db.prepare(
      "SELECT source, c, s, lsn, system_identifier, database, timeline, commit_time, applied_at, "
      "consistent_at, directory FROM _deltamirror_checkpoint");
  if (!select.step()) {
    throw daystream::NeedsPerson(
        fmt::format("mirror \"{}\" has no checkpoint: it was never seeded", db.path()),
        "remove it and run \"deltamirror seed\"");
  }
  Checkpoint checkpoint;
  checkpoint.source = select.text(0);
  checkpoint.position = {select.integer(1), static_cast<std::uint64_t>(select.integer(2))};
  checkpoint.lsn = daystream::Lsn::parse(select.text(3)).value_or(daystream::Lsn{});
  checkpoint.system_identifier = select.text(4);
  checkpoint.database = select.text(5);
  checkpoint.timeline = static_cast<std::uint32_t>(select.integer(6));
  checkpoint.commit_time = select.text(7);
  checkpoint.applied_at = select.text(8);
  checkpoint.consistent_at = daystream::Lsn::parse(select.text(9)).value_or(daystream::Lsn{});
  checkpoint.directory = select.text(10);
  return checkpoint;
}

void save_checkpoint(Database& db, const Checkpoint& checkpoint) {
  Statement insert =
      db.prepare("INSERT OR REPLACE INTO _deltamirror_checkpoint VALUES(?,?,?,?,?,?,?,?,?,?,?)");
  insert.bind(1, checkpoint.source);
  insert.bind(2, checkpoint.position.c);
  insert.bind(3, static_cast<std::int64_t>(checkpoint.position.s));
  insert.bind(4, checkpoint.lsn.text());
  insert.bind(5, checkpoint.system_identifier);
  insert.bind(6, checkpoint.database);
  insert.bind(7, std::int64_t{checkpoint.timeline});
  if (checkpoint.commit_time.empty()) {
    insert.bind_null(8);
  } else {
    insert.bind(8, checkpoint.commit_time);
  }
  insert.bind(9, checkpoint.applied_at);
  insert.bind(10, checkpoint.consistent_at.text());
  insert.bind(11, checkpoint.directory);
  insert.run();
}

std::string utc_text(std::int64_t microseconds) {
  std::int64_t seconds = microseconds / 1'000'000;
  std::int64_t fraction = microseconds % 1'000'000;
  if (fraction < 0) {
    fraction += 1'000'000;
    --seconds;
  }
  const std::time_t time = seconds;
  std::tm parts{};
  gmtime_r(&time, &parts);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     fraction);
}

std::int64_t now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace deltamirror
