// What a stream needs at a server that does not have our plugin: a publication of the tables, and
// the SQL that says what they are (docs/managed.md). `up` makes both, and `down` removes them.
//
// Errors: SqlError, ConnectionLost, and what is said below.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "program/postgres.h"

namespace deltamirror {

// How a server can be read, as it shows when a slot is asked for that goes with the session.
struct Ways {
  std::string plugin;    // why our plugin cannot be used for a slot; empty: it can
  std::string pgoutput;  // why PostgreSQL's own cannot
  std::string hint;      // what gives the latter

  // Our plugin is what is missing: with PostgreSQL's own it goes.
  bool only_pgoutput() const { return !plugin.empty() && pgoutput.empty(); }
};
Ways find_ways(PGconn* pg);

// What keeps this role from publishing, and what gives it the right.
struct Lack {
  std::string what;
  std::string hint;
  bool needed = true;  // false: it goes without, and less is noted
};
// What is missing for the publication that publish() would make, or add tables to. A table that
// does not exist throws.
std::vector<Lack> find_lacks(PGconn* pg, const std::vector<TableRequest>& tables);

enum class Publication {
  None,
  Ours,    // publish() has made it
  Theirs,  // somebody else's, which stays as it is
};
Publication find_publication(PGconn* pg, const std::string& publication);
// Returns which of `tables` the publication lacks: it has neither the table nor a partition.
std::vector<std::string> unpublished(PGconn* pg, const std::string& publication,
                                     const std::vector<TableRequest>& tables);

// Returns which of `tables` the publication has themselves, as "SCHEMA"."TABLE".
std::vector<std::string> published_names(PGconn* pg, const std::string& publication,
                                         const std::vector<TableRequest>& tables);

// Makes what is missing: the SQL, the publication, its tables. As a whole, or nothing of it but the
// SQL. Returns whether DDL is noted by event triggers.
bool publish(PGconn* pg, const std::string& publication, const std::vector<TableRequest>& tables);

// Takes all but `tables` out of the publication, if publish() has made it; what is not there at the
// server counts for nothing. Returns what it took out, as SQL.
std::vector<std::string> keep_published(PGconn* pg, const std::string& publication,
                                        const std::vector<TableRequest>& tables);

// Removes the publication if publish() has made it, and with the last one the SQL that publish()
// has installed. Returns what was removed, for people.
std::vector<std::string> unpublish(const std::string& conninfo, const std::string& publication);

}  // namespace deltamirror
