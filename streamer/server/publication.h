// The publication that pgoutput streams: whether it can be followed, and what is in it.
#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "pgoutput/decoder.h"
#include "program/told_tables.h"
#include "server/replication_connection.h"

namespace deltastream {

// The tables whose rows come, as a list that FORMAT.md's "Table lists" describes; the table of the
// shapes is not among them. Empty: all tables, also those to come.
using PublishedTables = std::vector<std::string>;

// What a publication has at some moment.
struct Published {
  // A table of it that it does not tell whole.
  struct Partly {
    std::string table;  // as a list of tables has it
    std::string shown;  // as SQL spells it
    daystream::Untold why;
  };
  PublishedTables whole;                  // all changes of these come
  std::vector<Partly> partly;             // not those that a reason for all of them leaves out
  std::optional<daystream::Untold> none;  // why it tells no table whole
  // What is another one after each change of what the publication has of a table, also when all
  // is as before again: of all tables, with the owner's OID, and of each one by itself.
  std::string owner;
  std::string version;
  std::map<std::string, std::string> versions;

  // Of `told`, those whose changes may not all have come since it was looked at `before`, or do not
  // now. nullopt: all, whatever they are.
  std::optional<PublishedTables> lost_since(const Published& before,
                                            const PublishedTables& told) const;
  // What a holding says of them beside its list (daystream::program::untold_option()).
  std::vector<std::pair<std::string, std::string>> untold_options() const;
  // Why a table is not told whole, for people; the first of several. nullopt: all are.
  std::optional<daystream::program::UntoldText> problem(const std::string& publication) const;
};

// Whether deltaflood_managed.sql was run in the database.
bool has_shapes(PGconn* connection);

// Looks at it. Throws NeedsPerson where it is not there, and where our role may not ask for shapes.
Published look_at_publication(PGconn* connection, const std::string& publication);

// The same, and throws NeedsPerson, too, where it leaves changes out, or does not have
// deltaflood.ddl.
Published check_publication(PGconn* connection, const std::string& publication);

// Tables with rows that PostgreSQL lets nobody update or delete, because they are published and
// have no replica identity.
std::vector<std::string> tables_without_identity(PGconn* connection,
                                                 const std::string& publication);

// The list of no table.
PublishedTables no_tables();
// Whether `tables` has `table`, which is spelt as `_table` spells it.
bool has_table(const PublishedTables& tables, const std::string& table);
std::string table_list(const PublishedTables& tables);

// What a daystream says of itself, so that no other one reads from its slot (plugin/claim.h has the
// same for our plugin).
struct SlotClaim {
  std::string id;
  std::string name;    // where it is, for people
  bool adopt = false;  // the slot is taken whatever stream it belongs to
};
// Throws NeedsPerson where the slot belongs to another one, which has read from it. On a standby
// nothing can be noted, and nothing is asked.
void claim_slot(const std::string& conninfo, const std::string& slot, const SlotClaim& claim);

// What pgoutput is asked for. `in_progress`: large transactions while they run; else the server
// keeps them until they are committed.
std::vector<std::pair<std::string, std::string>> pgoutput_options(const std::string& publication,
                                                                  bool in_progress);

// Has values be spelt as our plugin spells them. Throws NeedsPerson where something between the
// server and us overrules that.
void fix_settings(ReplicationConnection& connection);

// What tables are in a snapshot that somebody else has exported.
std::vector<pgoutput::ShapeRow> read_shapes(const std::string& conninfo,
                                            const std::string& snapshot,
                                            const std::string& publication);

// Has shapes sent again in the stream, of all tables where `relations` has 0; returns how many.
std::uint64_t tell_shapes(PGconn* connection, const std::set<std::uint32_t>& relations);

}  // namespace deltastream
