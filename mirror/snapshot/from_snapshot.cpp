#include "snapshot/from_snapshot.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>

#include "daystream/error.h"
#include "daystream/stop.h"
#include "remote/fetch.h"
#include "store/checkpoint.h"
#include "store/mirror_file.h"
#include "store/mirror_lock.h"

namespace deltamirror {

// Indexes, triggers and views are made again when a table is copied.
void check_fetched(const std::string& file, const daystream::Stop& stop) {
  Database db = open_for_reading(file);
  db.give_up_when(stop, std::chrono::milliseconds(0));
  db.exec("PRAGMA cell_size_check = ON");
  if (const auto found = db.value("PRAGMA quick_check(1)"); found != "ok") {
    throw daystream::Error("it is damaged: " + found.value_or("it cannot be read"),
                           "\"PRAGMA quick_check\" shows it, at the server");
  }
  // What we read ourselves is read without end where it is a view that has none.
  if (const auto found = db.value(
          "SELECT name FROM sqlite_schema WHERE name LIKE '\\_deltamirror\\_%' ESCAPE '\\' AND "
          "name <> '_deltamirror_status' AND type IN ('table', 'view') AND "
          "(type = 'view' OR coalesce(rootpage, 0) = 0)")) {
    throw daystream::Error(fmt::format("its \"{}\" is no table", *found),
                           "make it again, at the server");
  }
  Database scratch(":memory:", Database::Mode::Create);
  scratch.give_up_when(stop, std::chrono::milliseconds(0));
  Statement schema = db.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL");
  while (schema.step()) {
    try {
      scratch.exec_one(schema.text(0));
    } catch (const NotOneStatement&) {
      throw;
    } catch (const SqliteError&) {
      // What lacks its table in this order, or names what is gone, is left out when its turn comes.
    }
  }
}

namespace {

// False: asked to stop; then there is no mirror.
bool fetch_into(const std::string& mirror, const std::string& server, const daystream::Stop& stop) {
  namespace remote = daystream::remote;
  check_absent(mirror);
  remote::Fetched fetched;
  spdlog::info("fetching the newest snapshot of {}", server.substr(0, server.find('?')));
  if (!remote::fetch_newest_snapshot(remote::options_from_environment(), server, mirror, stop,
                                     fetched)) {
    return false;
  }
  try {
    check_fetched(mirror, stop);
    // Once written to, its log is there for readers that could not make it.
    open_owned(mirror).exec("PRAGMA user_version = 1");
    for (const Checkpoint& at : load_checkpoints(open_for_reading(mirror))) {
      spdlog::info("fetched {} bytes ({} of them before), a mirror at {} ({})", fetched.size_bytes,
                   fetched.resumed_at, at.position.text(), at.lsn.text());
    }
  } catch (const daystream::Error& e) {
    for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(beside(mirror, end));
    if (stop.requested()) return false;
    throw daystream::NeedsPerson(
        fmt::format("the snapshot {} is no mirror: {}", fetched.id, e.what()),
        "put a mirror there: \"deltamirror snapshot\" makes what can be taken");
  }
  return true;
}

}  // namespace

bool fetch_mirror(const std::string& mirror, const daystream::Stream& daystream,
                  const daystream::program::Signals& signals) {
  const std::string place = daystream.server().value_or(daystream.address());
  // Of a kind that has snapshots, or it throws.
  static_cast<void>(daystream::remote::snapshot_place({}, place, signals.stop()));
  check_absent(mirror);  // before its lock is made beside what is there
  MirrorLock owner(mirror);
  try {
    if (fetch_into(mirror, place, signals.stop())) return true;
  } catch (...) {
    owner.remove_file();
    throw;
  }
  owner.remove_file();
  return false;
}

namespace {

constexpr const char* kNewer = ".newer.";

// No source's name has a slash.
std::string name_of_newer(const std::string& mirror, const std::string& source) {
  return beside(mirror, kNewer) + source;
}

void remove_with_log(const std::string& path) noexcept {
  for (const char* end : {"", "-wal", "-shm"}) unlink((path + end).c_str());
}

bool is_part(const std::string& name, const std::string& of) {
  constexpr std::string_view kEnd = ".part";
  constexpr std::size_t kIdSize = 64;
  return name.size() == of.size() + 1 + kIdSize + kEnd.size() && name.starts_with(of + ".") &&
         name.ends_with(kEnd);
}

template <typename Test>
std::vector<std::filesystem::path> files_beside(const std::filesystem::path& file, Test is_wanted) {
  std::vector<std::filesystem::path> files;
  std::error_code ignored;
  for (std::filesystem::directory_iterator entry(file.parent_path(), ignored), end;
       !ignored && entry != end; entry.increment(ignored)) {
    if (is_wanted(entry->path().filename().string())) files.push_back(entry->path());
  }
  return files;
}

// Of what the server had to offer before.
void remove_parts(const std::filesystem::path& of) {
  const std::string name = of.filename().string();
  for (const auto& part : files_beside(of, [&](const auto& each) { return is_part(each, name); })) {
    unlink(part.c_str());
  }
}

}  // namespace

std::vector<std::filesystem::path> fetched_beside(const std::string& mirror) {
  const std::filesystem::path real = std::filesystem::absolute(daystream::real_name(mirror));
  const std::string name = real.filename().string();
  return files_beside(real, [&](const std::string& each) {
    return is_part(each, name) || each.starts_with(name + kNewer);
  });
}

NewerSnapshot::NewerSnapshot(const std::string& mirror, const std::string& source,
                             const std::string& from)
    : from_(from),
      is_file_(from.find("://") == std::string::npos),
      path_(is_file_ ? from : name_of_newer(mirror, source)) {
  std::error_code ignored;
  if (!is_file_ || !std::filesystem::equivalent(from, mirror, ignored)) return;
  throw daystream::ConfigError(fmt::format("\"{}\" is the mirror itself", from),
                               "--from takes a snapshot of another mirror of the same source");
}

NewerSnapshot::~NewerSnapshot() {
  drop();
}

std::string NewerSnapshot::name() const {
  return is_file_ ? fmt::format("file \"{}\"", path_) : "snapshot " + id_;
}

void NewerSnapshot::drop() noexcept {
  if (!is_file_ && !id_.empty()) remove_with_log(path_);
  id_.clear();
}

// A snapshot takes the place of the one before; of a mirror that somebody follows the log changes.
void NewerSnapshot::look_at_file(const std::string& known) {
  namespace fs = std::filesystem;
  id_.clear();
  if (!fs::exists(path_)) {
    throw daystream::remote::NoSnapshot(fmt::format("there is no file \"{}\" yet", path_),
                                        "put a snapshot there");
  }
  std::string id;
  for (const char* end : {"", "-wal"}) {
    struct stat status {};
    if (stat((path_ + end).c_str(), &status) != 0) continue;
    id += fmt::format("{}:{}:{}.{:09} ", status.st_ino, status.st_size, status.st_mtim.tv_sec,
                      status.st_mtim.tv_nsec);
  }
  if (id == known) {
    throw daystream::remote::NoSnapshot(fmt::format("file \"{}\" is no newer snapshot yet", path_),
                                        "put one there");
  }
  id_ = id;
}

void NewerSnapshot::fetch(const std::string& known, const daystream::Stop& stop) {
  namespace remote = daystream::remote;
  const remote::Options options = remote::options_from_environment();
  try {
    if (!id_.empty() && remote::newest_snapshot(options, from_, stop) == id_) return;
  } catch (const remote::NoSnapshot&) {
    return;  // no better one than what is here
  }
  drop();
  remove_with_log(path_);
  remote::Fetched fetched;
  if (!remote::fetch_newest_snapshot(options, from_, path_, stop, fetched, known)) {
    throw daystream::Error("stopped before the snapshot was fetched", "the next start fetches it");
  }
  id_ = fetched.id;
  remove_parts(std::filesystem::absolute(path_));
  spdlog::info("fetched a snapshot of {} bytes", fetched.size_bytes);
}

Database NewerSnapshot::open(const std::string& known, const daystream::Stop& stop) {
  is_file_ ? look_at_file(known) : fetch(known, stop);
  if (checked_ != id_) check_fetched(path_, stop);
  checked_ = id_;
  Database db = open_for_reading(path_);
  db.give_up_when(stop, std::chrono::milliseconds(0));
  db.exec("BEGIN");
  return db;
}

void NewerSnapshot::remove_left_over(const std::string& mirror,
                                     const std::string& source) noexcept {
  remove_with_log(name_of_newer(mirror, source));
}

}  // namespace deltamirror
