#include "command/followed_publication.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "command/publication_checks.h"
#include "daystream/error.h"
#include "program/hint.h"

namespace deltastream {

namespace {

// Of the tables that a publication has now, those that the stream says it holds.
PublishedTables held_still(const PublishedTables& now, const std::string& held) {
  if (held.empty()) return now;
  if (now.empty()) return {held};
  PublishedTables both;
  for (const std::string& table : now) {
    if (daystream::table_list_matches(held, table)) both.push_back(table);
  }
  return both.empty() ? no_tables() : both;
}

}  // namespace

// What it leaves out is no reason to stop a stream that is there: others are in it. They are out of
// the list, which is what mirrors believe.
daystream::Holding FollowedPublication::meet(ReplicationConnection& connection,
                                             const std::optional<daystream::Manifest>& manifest) {
  PGconn* const pg = connection.get();
  published_ = manifest ? look_at_publication(pg, config_.publication)
                        : check_publication(pg, config_.publication);
  check_identities(pg, manifest.has_value());
  fix_settings(connection);
  decide(manifest);
  daystream::Holding holding = config_.holding();
  holding.tables = table_list(told_);
  holding.options = {{"publication", config_.publication}};
  for (auto& option : published_.untold_options()) holding.options.push_back(std::move(option));
  return holding;
}

// A table that has come into the publication is held only once no transaction runs any more that
// may have written to it before: that comes with the next connection (PublicationWatch).
void FollowedPublication::decide(const std::optional<daystream::Manifest>& manifest) {
  told_ = published_.whole;
  if (!manifest) return;
  const auto publication = program::option_of(manifest->holdings.back(), "publication");
  if (publication.value_or("") != config_.publication) return;
  const std::string& held = manifest->holdings.back().tables;
  const bool all_come = changed_.now && told_ == *changed_.now;
  if (!all_come) told_ = held_still(told_, held);
  PublishedTables left = changed_.left;
  bool all_left = changed_.all_left;
  const PublishedTables before = held_still(told_, held);
  if (begun_ && before != no_tables()) {
    const auto lost = published_.lost_since(*begun_, before);
    all_left = all_left || !lost;
    if (lost) left.insert(left.end(), lost->begin(), lost->end());
  }
  if (all_left) told_ = no_tables();
  std::erase_if(told_, [&](const std::string& table) {
    return std::any_of(left.begin(), left.end(), [&](const std::string& gone) {
      return table == gone || daystream::table_list_matches(table, gone);
    });
  });
  if (told_.empty() && !left.empty()) told_ = no_tables();
}

void FollowedPublication::check_identities(PGconn* connection, bool is_begun) {
  for (const std::string& table : tables_without_identity(connection, config_.publication)) {
    if (!without_identity_.insert(table).second) continue;
    const std::string what = fmt::format(
        "table {} of publication \"{}\" has no replica identity: PostgreSQL refuses "
        "every UPDATE and DELETE of it",
        table, config_.publication);
    const std::string hint = fmt::format(
        "ALTER TABLE {0} ADD PRIMARY KEY …, or ALTER TABLE {0} REPLICA IDENTITY FULL", table);
    // One that came later is no reason to stop a stream that is there.
    if (!is_begun) throw daystream::NeedsPerson(what, hint);
    spdlog::warn("{}", daystream::program::with_hint(what, hint));
  }
}

std::function<void(const std::string&)> FollowedPublication::look_at_shapes() {
  return [this](const std::string& snapshot) {
    first_shapes_ = read_shapes(config_.conninfo, snapshot, config_.publication);
  };
}

PgoutputBegin FollowedPublication::begin(daystream::Lsn from, daystream::Lsn confirmed,
                                         std::uint64_t next) {
  changed_ = {};
  begun_ = published_;
  return {from, confirmed, next, told_, published_, std::exchange(first_shapes_, {})};
}

}  // namespace deltastream
