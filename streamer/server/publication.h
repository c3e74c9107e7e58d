// The publication that pgoutput streams: whether it can be followed, and what is in it.
#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "pgoutput/decoder.h"
#include "server/replication_connection.h"

namespace deltastream {

// The tables whose rows come, as a list that FORMAT.md's "Table lists" describes; the table of the
// shapes is not among them. Empty: all tables, also those to come.
using PublishedTables = std::vector<std::string>;

// Whether deltaflood_managed.sql was run in the database.
bool has_shapes(PGconn* connection);

// Throws NeedsPerson where it is not there, leaves changes out, or does not have deltaflood.ddl,
// and where our role may not ask for shapes.
void check_publication(PGconn* connection, const std::string& publication);

// Tables with rows that PostgreSQL lets nobody update or delete, because they are published and
// have no replica identity.
std::vector<std::string> tables_without_identity(PGconn* connection,
                                                 const std::string& publication);

PublishedTables published_tables(PGconn* connection, const std::string& publication);
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
