#include "snapshot/take.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <thread>
#include <utility>
#include <vector>

#include "daystream/unique_fd.h"
#include "program/disk_space.h"
#include "program/sha256.h"
#include "remote/s3_file.h"
#include "src/dir.h"
#include "src/place.h"
#include "store/checkpoint.h"
#include "store/mirror_file.h"
#include "store/mirrored_table.h"
#include "store/wal_keeper.h"

namespace deltamirror {

namespace {

namespace fs = std::filesystem;
using daystream::Error;
using daystream::IoError;
using daystream::UniqueFd;

constexpr const char* kPartial = ".partial";
constexpr std::chrono::milliseconds kBetweenLooks{20};
constexpr int kPagesPerStep = 1024;  // 4 MiB: a stop is heard between two

// What is being written, under a name that says so. Locked meanwhile, so that what a killed run
// has left can be told from what is being made.
//
// Ownership: removes the file when destroyed, unless it was given its name.
class PartialFile {
 public:
  explicit PartialFile(const std::string& out) : path_(out + kPartial) {
    fd_ = UniqueFd(open(path_.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640));
    if (!fd_) throw IoError(fmt::format("could not create \"{}\"", path_), errno);
    if (!daystream::lock_inode(fd_.get())) {
      throw Error(fmt::format("\"{}\" is being written by process {}", path_,
                              daystream::inode_lock_holder(fd_.get())),
                  "wait until it is done, or name another place");
    }
    if (ftruncate(fd_.get(), 0) != 0) {
      throw IoError(fmt::format("could not empty \"{}\"", path_), errno);
    }
  }
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;
  ~PartialFile() {
    if (path_.empty()) return;
    unlink(path_.c_str());
    unlink((path_ + "-journal").c_str());
  }

  const std::string& path() const noexcept { return path_; }
  void finish(const std::string& out) {
    give_name(path_, out);
    path_.clear();
  }

  // Whether nobody writes `path` any more.
  static bool is_abandoned(const fs::path& path) {
    const UniqueFd fd(open(path.c_str(), O_RDWR | O_CLOEXEC));
    return fd && daystream::lock_inode(fd.get());
  }

 private:
  std::string path_;
  UniqueFd fd_;
};

void check_room(const Database& db, const std::string& out) {
  const fs::path folder = fs::absolute(out).parent_path();
  const auto space = daystream::program::disk_space(folder);
  if (!space) return;  // what cannot be asked is found out by writing
  const auto pragma = [&](const char* sql) { return std::stoull(db.value(sql).value_or("0")); };
  // At least so much: a raw one has the free pages too.
  const std::uint64_t pages = pragma("PRAGMA page_count") - pragma("PRAGMA freelist_count");
  const std::uint64_t needed = pages * pragma("PRAGMA page_size");
  if (space->free_bytes >= needed) return;
  throw Error(fmt::format("folder \"{}\" has room for {} MiB, the snapshot needs {} MiB",
                          folder.string(), space->free_bytes >> 20, needed >> 20),
              "make room, or name another folder");
}

[[noreturn]] void stopped_meanwhile() {
  throw Error("stopped before the snapshot was complete", "the same command does it again");
}

void write_compact(Database& db, const std::string& to,
                   const daystream::program::Signals& signals) {
  db.give_up_when(signals.stop(), std::chrono::milliseconds(0));
  sqlite3_limit(db.raw(), SQLITE_LIMIT_ATTACHED, 1);  // the file it writes
  try {
    db.exec("VACUUM INTO " + quote_text(to));
  } catch (const SqliteError&) {
    if (signals.stop_requested()) stopped_meanwhile();
    throw;
  }
}

// The caller's read transaction holds all steps at one commit, no matter who writes meanwhile.
void write_raw(const Database& db, const std::string& to,
               const daystream::program::Signals& signals) {
  Database copy(to, Database::Mode::Create);
  copy.exec("PRAGMA synchronous = OFF");  // synced as a whole before it gets its name
  sqlite3_backup* const backup = sqlite3_backup_init(copy.raw(), "main", db.raw(), "main");
  int code = SQLITE_OK;
  while (backup != nullptr && code == SQLITE_OK && !signals.stop_requested()) {
    code = sqlite3_backup_step(backup, kPagesPerStep);
  }
  sqlite3_backup_finish(backup);
  if (signals.stop_requested()) stopped_meanwhile();
  if (code == SQLITE_DONE) return;
  throw SqliteError(fmt::format("could not write \"{}\": {}", to, sqlite3_errmsg(copy.raw())),
                    sqlite3_extended_errcode(copy.raw()));
}

// A file alone, which any SQLite opens wherever it lies: without the mark of a write-ahead log,
// which `run` puts there again.
void without_log(const std::string& path) {
  Database copy(path, Database::Mode::ReadWrite);
  copy.exec("PRAGMA synchronous = OFF; PRAGMA journal_mode = DELETE");
  copy.exec("DELETE FROM _deltamirror_errors");  // they are of who owns the mirror here
  copy.close();
}

// A name for a snapshot of now that is not `taken`: one was made within this second, perhaps.
template <typename Taken>
std::string free_name(const std::string& mirror, const daystream::program::Signals& signals,
                      const Taken& taken) {
  for (;;) {
    const std::time_t second = std::time(nullptr);
    std::string name = snapshot_name(mirror, second);
    if (!taken(name)) return name;
    while (std::time(nullptr) == second) {
      if (signals.stop_requested()) stopped_meanwhile();
      std::this_thread::sleep_for(kBetweenLooks);
    }
  }
}

// `out`, or the name in the directory that it is.
std::string file_for(const SnapshotOptions& options, const daystream::program::Signals& signals) {
  if (!fs::is_directory(options.out)) {
    if (options.keep) {
      throw daystream::ConfigError(
          fmt::format("--keep needs a directory of snapshots, and \"{}\" is none", options.out),
          "make the directory first");
    }
    return options.out;
  }
  const fs::path folder(options.out);
  return folder / free_name(options.mirror, signals, [&](const std::string& name) {
           return fs::exists(folder / name) || fs::exists(folder / (name + kPartial));
         });
}

// A snapshot that cannot be removed is no reason to fail: this one is there.
void remove_old(const SnapshotOptions& options) {
  const std::string stem = fs::path(options.mirror).stem().string();
  std::vector<std::int64_t> times;
  for (const fs::directory_entry& entry : fs::directory_iterator(options.out)) {
    const bool partial = entry.path().extension() == kPartial;
    const fs::path name = partial ? entry.path().stem() : entry.path().filename();
    const auto snapshot = parse_snapshot_name(name.string());
    if (!snapshot || snapshot->stem != stem) continue;
    if (!partial) {
      times.push_back(snapshot->seconds);
    } else if (PartialFile::is_abandoned(entry.path())) {
      unlink(entry.path().c_str());
    }
  }
  for (const std::int64_t time : superfluous(times, *options.keep)) {
    const std::string path = fs::path(options.out) / snapshot_name(options.mirror, time);
    if (unlink(path.c_str()) == 0) {
      spdlog::info("removed snapshot \"{}\"", path);
    } else {
      spdlog::warn("could not remove snapshot \"{}\": {}", path, std::strerror(errno));
    }
  }
}

// Of all that a reader sees at one commit.
void write_snapshot(const SnapshotOptions& options, const PartialFile& partial,
                    const daystream::program::Signals& signals) {
  Database db = open_for_reading(options.mirror);
  check_room(db, partial.path());
  if (options.form == SnapshotForm::Raw) {
    db.exec("BEGIN");
    static_cast<void>(load_checkpoints(db));  // the transaction begins with its first read
    write_raw(db, partial.path(), signals);
    db.exec("COMMIT");
  } else {
    write_compact(db, partial.path(), signals);
  }
  db.close();
  without_log(partial.path());
}

// Beside the mirror first: how it ends is known only then.
std::string put_snapshot(const SnapshotOptions& options,
                         const daystream::program::Signals& signals) {
  namespace remote = daystream::remote;
  remote::S3Client client(remote::S3Address::parse(options.out), {.stop = signals.stop()});
  const PartialFile partial(beside(options.mirror, ".s3"));
  const std::string name = free_name(options.mirror, signals, [&](const std::string& wanted) {
    return !client.list(wanted).empty();
  });
  write_snapshot(options, partial, signals);
  const std::string sha256 = daystream::program::sha256_of_file(partial.path(), signals.stop());
  if (sha256.empty()) stopped_meanwhile();
  const fs::path path = fs::absolute(partial.path());
  const auto folder = daystream::real_dir(path.parent_path());
  remote::put_file(client, name, *folder->open(path.filename().string()), sha256, {});
  if (!options.keep) return client.address().name_of(name);
  std::vector<std::int64_t> times;
  const std::string stem = fs::path(options.mirror).stem().string();
  for (const remote::S3Client::Object& object : client.list("")) {
    const auto snapshot = parse_snapshot_name(object.key);
    if (snapshot && snapshot->stem == stem) times.push_back(snapshot->seconds);
  }
  for (const std::int64_t time : superfluous(times, *options.keep)) {
    client.remove(snapshot_name(options.mirror, time));
    spdlog::info("removed snapshot \"{}\"",
                 client.address().name_of(snapshot_name(options.mirror, time)));
  }
  return client.address().name_of(name);
}

}  // namespace

std::string take_snapshot(const SnapshotOptions& options,
                          const daystream::program::Signals& signals) {
  if (daystream::remote::S3Address::is_one(options.out)) return put_snapshot(options, signals);
  std::string out = file_for(options, signals);
  check_absent(out, "snapshot");
  static_cast<void>(open_for_reading(options.mirror));  // it is one, before anything is made
  PartialFile partial(out);
  write_snapshot(options, partial, signals);
  const std::vector<Checkpoint> all = load_checkpoints(open_for_reading(partial.path()));
  partial.finish(out);
  for (const Checkpoint& at : all) {
    spdlog::debug("\"{}\" is at {} ({}) of \"{}\", {} MiB", out, at.position.text(), at.lsn.text(),
                  at.source, file_size(out) >> 20);
  }
  if (options.keep) remove_old(options);
  return out;
}

}  // namespace deltamirror
