#include "command/followed_publication.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

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
  if (both.empty()) both.emplace_back("deltaflood.ddl");
  return both;
}

}  // namespace

// A table that has come into the publication is held only once no transaction runs any more that
// may have written to it before: that comes with the next connection (PublicationWatch).
daystream::Holding FollowedPublication::meet(ReplicationConnection& connection,
                                             const std::optional<daystream::Manifest>& manifest) {
  PGconn* const pg = connection.get();
  check_publication(pg, config_.publication);
  check_identities(pg, manifest.has_value());
  fix_settings(connection);
  told_ = published_tables(pg, config_.publication);
  daystream::Holding holding = config_.holding();
  holding.options = {{"publication", config_.publication}};
  if (manifest && manifest->holdings.back().options == holding.options && told_ != changed_) {
    told_ = held_still(told_, manifest->holdings.back().tables);
  }
  holding.tables = table_list(told_);
  return holding;
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
  return {from, confirmed, next, told_, std::exchange(first_shapes_, {})};
}

}  // namespace deltastream
