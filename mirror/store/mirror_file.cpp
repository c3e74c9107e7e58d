#include "store/mirror_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "daystream/error.h"
#include "daystream/unique_fd.h"
#include "src/place.h"
#include "store/mirrored_table.h"

namespace deltamirror {

using daystream::Error;
using daystream::IoError;
using daystream::UniqueFd;

namespace {

void sync_path(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) throw IoError(fmt::format("could not open \"{}\"", path), errno);
  if (fsync(fd.get()) != 0) throw IoError(fmt::format("could not sync \"{}\"", path), errno);
}

// Throws IoError where that cannot be seen.
bool exists(const std::string& path) {
  struct stat facts {};
  if (lstat(path.c_str(), &facts) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  throw daystream::IoError(fmt::format("could not look at \"{}\"", path), errno);
}

}  // namespace

std::string beside(const std::string& mirror, const char* suffix) {
  return daystream::real_name(mirror).string() + suffix;
}

std::string problem_of_name(const std::string& mirror) {
  const auto starts = [&](std::string_view with) { return mirror.starts_with(with); };
  if (mirror.empty()) return "a mirror is a file: its name cannot be empty";
  if (starts(":")) return fmt::format("a mirror is a file, and \"{}\" is none to SQLite", mirror);
  if (starts("file:") || mirror.find("://") != std::string::npos) {
    return fmt::format("a mirror is a file: give its path, not the URI \"{}\"", mirror);
  }
  struct stat facts {};
  if (stat(mirror.c_str(), &facts) == 0 && !S_ISREG(facts.st_mode)) {
    return fmt::format("a mirror is a file, and \"{}\" is {}", mirror,
                       S_ISDIR(facts.st_mode) ? "a directory" : "none");
  }
  return {};
}

std::string loading_name(const std::string& mirror) {
  return beside(mirror, ".seeding");
}

void check_absent(const std::string& mirror, const std::string& what) {
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) {
    const std::string file = *suffix == '\0' ? mirror : beside(mirror, suffix);
    if (!exists(file)) continue;
    throw daystream::NeedsPerson(
        fmt::format("file \"{}\" exists", file),
        fmt::format("this makes a new {}: name another file, or remove this one with its -wal, "
                    "-shm and -journal",
                    what));
  }
}

void remove_loading_files(const std::string& mirror) noexcept {
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) {
    unlink((loading_name(mirror) + suffix).c_str());
  }
}

// The journal holds only pages that were there when a transaction began: next to nothing, as what
// is loaded goes to new ones.
Database open_for_loading(const std::string& mirror, Loading how) {
  if (how == Loading::Anew) remove_loading_files(mirror);
  Database db(loading_name(mirror), Database::Mode::Create);
  db.exec(
      "PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;"
      "PRAGMA cache_size = -65536; PRAGMA temp_store = FILE");
  return db;
}

// The rename replaces nothing; the directory's sync makes it last.
void give_name(const std::string& whole, const std::string& name) {
  sync_path(whole);
  if (renameat2(AT_FDCWD, whole.c_str(), AT_FDCWD, name.c_str(), RENAME_NOREPLACE) != 0) {
    const int reason = errno;
    // Not every file system knows the flag; a hard link does not replace either.
    if (reason != EINVAL || link(whole.c_str(), name.c_str()) != 0) {
      throw IoError(fmt::format("could not rename \"{}\" to \"{}\"", whole, name), reason);
    }
    unlink(whole.c_str());
  }
  const auto folder = std::filesystem::path(name).parent_path();
  try {
    sync_path(folder.empty() ? "." : folder.string());
  } catch (const IoError&) {
    // Whether the name lasts nobody knows: what has failed leaves nothing.
    unlink(name.c_str());
    throw;
  }
}

// WAL is a property of the file's header: set while it still has its other name, so that the mirror
// never exists without it. Closing then removes the empty -wal.
void publish(Database loaded, const std::string& mirror) {
  const std::string loading = loading_name(mirror);
  loaded.exec("PRAGMA locking_mode = NORMAL");
  loaded.exec("PRAGMA journal_mode = WAL");
  loaded.close();
  check_absent(mirror);
  give_name(loading, mirror);
  try {
    // Once written to, -wal and -shm are there for readers that could not make them.
    open_owned(mirror).exec("PRAGMA user_version = 1");
  } catch (const Error& e) {
    spdlog::warn("{}; the mirror is whole, but readers who may not write wait for its \"run\"",
                 e.what());
  }
}

Database open_owned(const std::string& mirror) {
  static_cast<void>(open_for_reading(mirror));  // what is somebody else's is not written to
  Database db(mirror, Database::Mode::ReadWrite);
  int persist = 1;
  if (sqlite3_file_control(db.raw(), "main", SQLITE_FCNTL_PERSIST_WAL, &persist) != SQLITE_OK) {
    throw Error(fmt::format("could not keep the log of mirror \"{}\"", mirror),
                "look at the permissions of its folder and its -wal");
  }
  // NORMAL: after a power loss data and checkpoint go back together, and the daystream has the
  // rest. The log is checkpointed by this connection alone (SQLite before 3.51.3 can corrupt a WAL
  // with two), and cut after it was larger than 64 MiB.
  db.exec(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA mmap_size = 0;"
      "PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = FILE");
  set_pace(db, Pace::Level);
  return db;
}

void set_pace(Database& owned, Pace pace) {
  const bool behind = pace == Pace::Behind;
  owned.exec(fmt::format("PRAGMA cache_size = -{}; PRAGMA wal_autocheckpoint = {}",
                         (behind ? 160 : 64) * 1024, behind ? kBehindLogPages : 4096));
  if (!behind) sqlite3_db_release_memory(owned.raw());
}

Database open_for_reading(const std::string& mirror) {
  if (!exists(mirror)) {
    throw Error(fmt::format("mirror \"{}\" does not exist", mirror),
                "make it with \"deltamirror seed\"");
  }
  Database db(mirror, Database::Mode::ReadOnly);
  check_is_mirror(db);
  return db;
}

}  // namespace deltamirror
