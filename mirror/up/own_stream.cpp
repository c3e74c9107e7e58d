#include "up/own_stream.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <thread>

#include "daystream/error.h"
#include "daystream/manifest.h"
#include "model/names.h"
#include "program/postgres.h"
#include "src/day_file.h"
#include "src/place.h"
#include "store/mirror_file.h"

namespace deltamirror {

namespace fs = std::filesystem;
using daystream::Error;
using daystream::program::PgConn;
using daystream::program::PgResult;

namespace {

constexpr std::size_t kLongestName = 63;  // PostgreSQL's
constexpr std::chrono::seconds kPatience{10};

// FNV-1a: the same name for the same place, by any version of this program.
std::uint64_t hash_of(const std::string& text) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return hash;
}

// Slots are named with small letters, digits and underscores.
std::string slot_word(const std::string& text) {
  std::string word;
  for (const char c : folded(text)) {
    const bool fits = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    word += fits ? c : '_';
  }
  return word;
}

std::string place_of(const std::string& mirror) {
  char host[256] = "";
  if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
  const fs::path real = fs::weakly_canonical(daystream::real_name(fs::absolute(mirror)));
  return fmt::format("{}:{}", host, real.string());
}

struct FoundSlot {
  std::string plugin;
  std::string active_pid;  // empty: nobody has it
};

std::optional<FoundSlot> find(PGconn* pg, const std::string& slot) {
  const PgResult result = daystream::program::exec_params(
      pg,
      "SELECT coalesce(plugin, ''), coalesce(active_pid::text, '') FROM pg_replication_slots WHERE "
      "slot_name = $1",
      {slot});
  if (PQntuples(result.get()) == 0) return std::nullopt;
  return FoundSlot{PQgetvalue(result.get(), 0, 0), PQgetvalue(result.get(), 0, 1)};
}

}  // namespace

std::string own_slot_name(const std::string& mirror, const std::string& source) {
  const std::string end =
      fmt::format("_{:08x}", hash_of(place_of(mirror) + "\n" + source) & 0xffffffffU);
  std::string name = "deltamirror_" + slot_word(fs::path(mirror).stem().string());
  if (!source.empty()) name += "_" + slot_word(source);
  return name.substr(0, kLongestName - end.size()) + end;
}

fs::path own_directory(const std::string& mirror) {
  return beside(mirror, ".daystream");
}

fs::path name_of_removal(const fs::path& path) {
  return path.string() + ".removed";
}

void require_removable(const fs::path& directory) {
  try {
    daystream::require_own_directory(directory);
  } catch (const daystream::Corruption&) {
    // Days of one that is damaged.
  }
}

std::string slot_in(const fs::path& directory) {
  if (!fs::exists(directory / "daystream.json")) return {};
  return daystream::Manifest::load(directory).slot;
}

std::string publication_in(const fs::path& directory) {
  if (!fs::exists(directory / "daystream.json")) return {};
  const daystream::Manifest manifest = daystream::Manifest::load(directory);
  for (const auto& [name, value] : manifest.holdings.back().options) {
    if (name == "publication") return value;
  }
  return {};
}

std::optional<std::string> plugin_of_slot(PGconn* pg, const std::string& slot) {
  const auto found = find(pg, slot);
  return found ? std::optional(found->plugin) : std::nullopt;
}

bool drop_slot(const OwnStream& stream) {
  const std::string& slot = stream.slot;
  const PgConn pg = daystream::program::connect(stream.conninfo, "deltamirror");
  const auto until = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    const auto found = find(pg.get(), slot);
    if (!found) return false;
    if (found->plugin != (stream.publication.empty() ? "deltaflood" : "pgoutput")) {
      throw daystream::NeedsPerson(
          fmt::format("replication slot \"{}\" is not ours to drop: it uses plugin \"{}\"", slot,
                      found->plugin),
          "name the right one with --slot, or drop it by SQL: SELECT pg_drop_replication_slot(…);");
    }
    if (found->active_pid.empty()) break;
    if (std::chrono::steady_clock::now() >= until) {
      throw Error(fmt::format("replication slot \"{}\" is in use by process {} of PostgreSQL", slot,
                              found->active_pid),
                  "end its deltastream first");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  daystream::program::exec_params(pg.get(), "SELECT pg_drop_replication_slot($1)", {slot});
  return true;
}

}  // namespace deltamirror
