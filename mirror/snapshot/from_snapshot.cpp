#include "snapshot/from_snapshot.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <functional>

#include "daystream/error.h"
#include "remote/fetch.h"
#include "store/checkpoint.h"
#include "store/mirror_file.h"

namespace deltamirror {

namespace {

// Who made the file is not trusted with more than its rows. Its pages have to be as SQLite writes
// them, and each index, trigger and view one statement: they are made again when a table is copied.
void check_fetched(const std::string& mirror, const std::function<bool()>& stop) {
  Database db = open_for_reading(mirror);
  db.give_up_when(stop, std::chrono::milliseconds(0));
  db.exec("PRAGMA cell_size_check = ON");
  if (const auto found = db.value("PRAGMA quick_check(1)"); found != "ok") {
    throw daystream::Error("it is damaged: " + found.value_or("it cannot be read"),
                           "\"PRAGMA quick_check\" shows it, at the server");
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

}  // namespace

bool fetch_mirror(const std::string& mirror, const daystream::Stream& daystream,
                  daystream::program::Signals& signals) {
  namespace remote = daystream::remote;
  const auto server = daystream.server();
  if (!server) {
    throw daystream::ConfigError(
        fmt::format("cannot fetch a snapshot from \"{}\"", daystream.address()),
        "--from takes the URL of a stream: https://HOST:PORT/NAME");
  }
  check_absent(mirror);
  const remote::Url url = remote::Url::parse(*server);
  remote::Fetched fetched;
  const auto stop = [&signals] {
    signals.clear();
    return signals.stop_requested();
  };
  spdlog::info("fetching the newest snapshot of {}", url.base);
  if (!remote::fetch_newest_snapshot(remote::options_from_environment(), url, mirror, signals.fd(),
                                     stop, fetched)) {
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
    if (stop()) return false;
    throw daystream::NeedsPerson(
        fmt::format("the snapshot {} is no mirror: {}", fetched.id, e.what()),
        "put a mirror into the directory of the server's --snapshots");
  }
  return true;
}

}  // namespace deltamirror
