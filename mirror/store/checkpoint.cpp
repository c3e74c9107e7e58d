#include "store/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>

#include "daystream/error.h"
#include "model/joined.h"
#include "src/calendar.h"

namespace deltamirror {

std::optional<std::chrono::microseconds> Checkpoint::age() const {
  const auto complete = daystream::parse_timestamp_text(complete_to);
  if (!complete) return std::nullopt;
  return std::chrono::microseconds(
      std::max<std::int64_t>(0, daystream::now_us() - complete->time_since_epoch().count()));
}

std::vector<Checkpoint> load_checkpoints(const Database& db) {
  Statement select = db.prepare(
      "SELECT source, c, s, lsn, system_identifier, database, timeline, commit_time, applied_at, "
      "consistent_at, directory, complete_to FROM _deltamirror_checkpoint ORDER BY source");
  std::vector<Checkpoint> checkpoints;
  while (select.step()) {
    Checkpoint& checkpoint = checkpoints.emplace_back();
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
    checkpoint.complete_to = select.text(11);
  }
  if (!checkpoints.empty()) return checkpoints;
  throw daystream::NeedsPerson(
      fmt::format("mirror \"{}\" has no checkpoint: it was never seeded", db.path()),
      "remove it and run \"deltamirror seed\"");
}

Checkpoint load_checkpoint(const Database& db, const std::string& source) {
  const std::vector<Checkpoint> checkpoints = load_checkpoints(db);
  if (source.empty()) {
    if (checkpoints.size() == 1) return checkpoints.front();
    throw daystream::ConfigError(
        fmt::format("mirror \"{}\" has several sources: {}", db.path(), names_of(checkpoints)),
        "say which with --source NAME");
  }
  if (const Checkpoint* const found = find_source(checkpoints, source)) return *found;
  throw daystream::ConfigError(fmt::format("mirror \"{}\" has no source \"{}\": it has {}",
                                           db.path(), source, names_of(checkpoints)),
                               "name one of those with --source");
}

const Checkpoint* find_source(const std::vector<Checkpoint>& checkpoints,
                              const std::string& source) noexcept {
  const auto found = std::find_if(checkpoints.begin(), checkpoints.end(),
                                  [&](const Checkpoint& at) { return at.source == source; });
  return found == checkpoints.end() ? nullptr : &*found;
}

std::string names_of(const std::vector<Checkpoint>& checkpoints) {
  return joined(checkpoints, ", ", [](const Checkpoint& at) { return '"' + at.source + '"'; });
}

void save_checkpoint(Database& db, const Checkpoint& checkpoint) {
  Statement insert =
      db.prepare("INSERT OR REPLACE INTO _deltamirror_checkpoint VALUES(?,?,?,?,?,?,?,?,?,?,?,?)");
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
  insert.bind(12, checkpoint.complete_to);
  insert.run();
}

void save_directory(Database& db, const Checkpoint& checkpoint, const std::string& directory) {
  if (checkpoint.directory == directory) return;
  WriteTransaction transaction(db);
  Statement update =
      db.prepare("UPDATE _deltamirror_checkpoint SET directory = ? WHERE source = ?");
  update.bind(1, directory);
  update.bind(2, checkpoint.source);
  update.run();
  transaction.commit();
}

void CheckpointWriter::save(const Checkpoint& checkpoint) {
  if (!update_) {
    update_ = db_.prepare(
        "UPDATE _deltamirror_checkpoint SET c = ?, s = ?, lsn = ?, timeline = ?, commit_time = ?, "
        "applied_at = ?, consistent_at = ?, complete_to = ? WHERE source = ?");
  }
  const std::string lsn = checkpoint.lsn.text();
  const std::string consistent_at = checkpoint.consistent_at.text();
  update_.bind(1, checkpoint.position.c);
  update_.bind(2, static_cast<std::int64_t>(checkpoint.position.s));
  update_.bind_static_text(3, lsn);
  update_.bind(4, std::int64_t{checkpoint.timeline});
  if (checkpoint.commit_time.empty()) {
    update_.bind_null(5);
  } else {
    update_.bind_static_text(5, checkpoint.commit_time);
  }
  update_.bind_static_text(6, checkpoint.applied_at);
  update_.bind_static_text(7, consistent_at);
  update_.bind_static_text(8, checkpoint.complete_to);
  update_.bind_static_text(9, checkpoint.source);
  update_.run();
  if (db_.changes() == 1) return;
  throw daystream::NeedsPerson(fmt::format("mirror \"{}\" has lost its checkpoint", db_.path()),
                               "somebody else wrote to it: seed it again");
}

std::string timestamp_of(std::int64_t microseconds) {
  return daystream::timestamp_text(daystream::at_microsecond(microseconds));
}

std::string timestamp_now() {
  return timestamp_of(daystream::now_us());
}

}  // namespace deltamirror
