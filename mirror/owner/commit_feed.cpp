#include "owner/commit_feed.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "store/mirrored_table.h"

namespace deltamirror {

using nlohmann::ordered_json;

namespace {

constexpr std::size_t kMostKeys = 1000;
constexpr std::size_t kMostBytes = 256 * 1024;
constexpr std::size_t kMostUnsent = 1 << 20;
constexpr std::size_t kMostListeners = 64;
constexpr std::string_view kOurs = "_deltamirror_";

ordered_json value_json(sqlite3_value* value) {
  const auto bytes = [&] {
    const auto* data = static_cast<const char*>(sqlite3_value_blob(value));
    const auto size = static_cast<std::size_t>(sqlite3_value_bytes(value));
    return std::string(data == nullptr ? "" : data, size);
  };
  switch (sqlite3_value_type(value)) {
    case SQLITE_INTEGER:
      return std::int64_t{sqlite3_value_int64(value)};
    case SQLITE_FLOAT:
      return sqlite3_value_double(value);
    case SQLITE_TEXT:
      return bytes();
    case SQLITE_BLOB: {
      std::string hex;
      for (const char c : bytes()) {
        fmt::format_to(std::back_inserter(hex), "{:02x}", static_cast<unsigned char>(c));
      }
      return {{"hex", hex}};
    }
    default:
      return nullptr;
  }
}

std::string text_of(const ordered_json& value) {
  return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace

CommitFeed::CommitFeed(Database& db, const std::string& path)
    : db_(db), sockets_(path, kMostListeners) {
  load_keys();
  sqlite3_preupdate_hook(db_.raw(), on_change, this);
}

CommitFeed::~CommitFeed() {
  sqlite3_preupdate_hook(db_.raw(), nullptr, nullptr);
}

// Called by SQLite, which knows no exceptions.
void CommitFeed::on_change(void* self, sqlite3* db, int operation, const char*, const char* table,
                           sqlite3_int64, sqlite3_int64) {
  auto* const feed = static_cast<CommitFeed*>(self);
  if (feed->listeners_.empty() || std::string_view(table).starts_with(kOurs)) return;
  try {
    feed->note(db, operation, table);
  } catch (...) {
    // Out of memory: every listener loses its place.
    feed->changed_.clear();
    for (Listener& listener : feed->listeners_) listener.lost = true;
  }
}

void CommitFeed::load_keys() {
  keys_.clear();
  for (const MirroredTable& table : load_tables(db_)) keys_.emplace(table.name, table.key());
  schema_version_ = db_.value("PRAGMA schema_version").value_or("");
}

void CommitFeed::note(sqlite3* db, int operation, const char* table) {
  Changes& changes = changed_[table];
  if (changes.all) return;
  const auto key = keys_.find(std::string_view(table));
  if (key == keys_.end() || key->second.empty() || changes.keys.size() >= kMostKeys ||
      changes.size_bytes >= kMostBytes) {
    changes.all = true;
    changes.keys.clear();
    return;
  }
  const auto add = [&](auto value_at) {
    ordered_json values = ordered_json::array();
    for (const int column : key->second) {
      sqlite3_value* value = nullptr;
      value_at(db, column, &value);
      values.push_back(value == nullptr ? ordered_json() : value_json(value));
    }
    if (!changes.keys.empty() && changes.keys.back() == values) return;
    changes.size_bytes += text_of(values).size();
    changes.keys.push_back(std::move(values));
  };
  if (operation != SQLITE_INSERT) add(sqlite3_preupdate_old);
  if (operation != SQLITE_DELETE) add(sqlite3_preupdate_new);
}

namespace {

// Where a source is.
ordered_json place_json(const Checkpoint& at, bool with_source) {
  ordered_json out;
  if (with_source) out["source"] = at.source;
  out["position"] = at.position.text();
  out["lsn"] = at.lsn.text();
  return out;
}

// The first line of a connection.
ordered_json begin_json(const std::vector<Checkpoint>& all) {
  ordered_json out = {{"version", 1}};
  if (all.size() == 1) {
    out.update(place_json(all.front(), false));
  } else {
    ordered_json& sources = out["sources"] = ordered_json::array();
    for (const Checkpoint& at : all) sources.push_back(place_json(at, true));
  }
  return out;
}

}  // namespace

void CommitFeed::whole_table(const std::string& name) {
  if (!listeners_.empty()) changed_[name] = {.all = true, .keys = {}, .size_bytes = 0};
}

void CommitFeed::committed(const Checkpoint& at) {
  // Tables have come, gone or changed: what the hook noted may be of other columns.
  if (db_.value("PRAGMA schema_version") != schema_version_) {
    for (const auto& [name, key] : keys_) whole_table(name);
    load_keys();
    for (const auto& [name, key] : keys_) whole_table(name);
  }
  if (changed_.empty()) return;
  ordered_json out = place_json(at, several_);
  ordered_json& tables = out["tables"];
  for (auto& [name, changes] : std::exchange(changed_, {})) {
    tables[name] = changes.all ? ordered_json() : ordered_json(std::move(changes.keys));
  }
  const std::string line = text_of(out) + "\n";
  for (Listener& listener : listeners_) send_to(listener, line);
  listeners_.remove_if([](const Listener& l) { return !l.fd; });
}

void CommitFeed::send_to(Listener& listener, const std::string& line) {
  if (!listener.lost) {
    if (listener.unsent.size() + line.size() > kMostUnsent) {
      // What was begun is ended, so that the last line can be read.
      listener.unsent.resize(listener.unsent.find('\n') + 1);
      listener.unsent += "{\"lost\":true}\n";
      listener.lost = true;
      spdlog::warn(
          "a listener at \"{}\" does not keep up: it is let go, with a last line that says so",
          sockets_.path());
    } else {
      listener.unsent += line;
    }
  }
  flush(listener);
}

void CommitFeed::flush(Listener& listener) {
  while (!listener.unsent.empty()) {
    const ssize_t sent = send(listener.fd.get(), listener.unsent.data(), listener.unsent.size(),
                              MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) break;
    if (sent < 0) {
      listener.fd.reset();
      return;
    }
    listener.unsent.erase(0, static_cast<std::size_t>(sent));
  }
  if (listener.unsent.empty() && listener.lost) {
    listener.fd.reset();
    return;
  }
  sockets_.watch(listener.id, listener.fd, !listener.unsent.empty());
}

void CommitFeed::serve(const std::vector<Checkpoint>& at) {
  while (auto event = sockets_.next(listeners_.size())) {
    if (event->opened) {
      listeners_.push_back({event->id, std::move(event->opened), {}, false});
      send_to(listeners_.back(), text_of(begin_json(at)) + "\n");
    }
    for (Listener& listener : listeners_) {
      if (listener.id != event->id) continue;
      char ignored[1024];
      // Nothing is expected from a listener but its end.
      if (event->readable && recv(listener.fd.get(), ignored, sizeof ignored, 0) == 0) {
        listener.fd.reset();
      } else {
        flush(listener);
      }
    }
    listeners_.remove_if([](const Listener& l) { return !l.fd; });
  }
}

}  // namespace deltamirror
