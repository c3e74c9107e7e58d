// Owns a mirror and follows its sources: the body of `deltamirror run`.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "daystream/lsn.h"
#include "daystream/stop.h"
#include "daystream/stream.h"
#include "daystream/unique_fd.h"
#include "model/shape.h"
#include "program/program.h"
#include "store/absent_table.h"

namespace deltamirror {

class FleetCommands;
class FleetConfig;
class StreamKeeper;

// A place in the log of one source's PostgreSQL.
struct SourceLsn {
  std::string source;  // empty: the mirror's only one
  daystream::Lsn lsn;
};

// A fleet that heals from one gap should not be what its server suffers from.
inline constexpr int kMaxCopies = 4;

// What load balancers are told, and where.
struct Healthz {
  std::string address;               // empty: nothing
  std::chrono::seconds max_lag{10};  // of what is still fresh
};

// Where it ends by itself.
struct RunEnd {
  bool once = false;                         // where the daystream ends now
  std::vector<SourceLsn> until_lsns;         // each source with the last transaction up to it
  std::vector<TableRequest> seed_now;        // once these are copied and in place
  std::optional<daystream::Lsn> until = {};  // of one source, as the Engine finds it out

  bool is_of_stream() const noexcept { return once || until; }
  // What is to end with the stream, or once tables are in place, rather fails.
  bool waits_out_trouble() const noexcept { return !once && seed_now.empty(); }
};

struct RunOptions {
  std::string mirror;
  daystream::Stream daystream;  // empty: where the source was read last
  std::string source = {};      // the only one to follow; empty: all
  RunEnd end = {};
  // What PostgreSQL committed less than so long ago is left for later, as its clock and this host's
  // tell: a mistake can be caught before it is here.
  std::chrono::seconds delay{0};
  // To PostgreSQL, for tables that have to be copied again or are added; nullopt: stop there.
  std::optional<std::string> conninfo;
  // Of newer snapshots, where there is no connection: a server's URL, or a file; empty: the server
  // that the stream is read from, if it is one.
  std::string from = {};
  std::string config_file;  // the tables to hold, read again at SIGHUP; empty: those it has
  std::shared_ptr<FleetConfig> fleet = {};       // where that is a server's URL; has begun
  std::shared_ptr<FleetCommands> commands = {};  // of that server; nullptr: none are taken
  std::shared_ptr<StreamKeeper> keeper = {};     // nullptr: others keep the streams
  // Hears why the mirror cannot be owned yet, while that is tried again; may be empty.
  std::function<void(const std::string& reason)> hear_wait = {};
  ShapePolicy shapes = ShapePolicy::Follow;
  std::optional<OnTrouble> on_trouble = {};  // goes before the configuration's
  int max_copies = kMaxCopies;               // see SeedSession; of those that it begins by itself
  std::string on_commit;                     // socket to tell changes at; empty: none
  std::string metrics_file;                  // for Prometheus; empty: none
  Healthz healthz = {};
};

// What can end it from outside.
struct RunControl {
  daystream::Stop stop;  // its descriptor is also readable when a signal has come
  daystream::program::Signals& signals;
};

// Owns the mirror meanwhile, and listens on its control socket. Ends at a commit.
//
// Each source is followed on a thread of its own; a SQLite commit holds transactions of one source
// and its checkpoint. While one is away, behind or between two commits the others go on.
//
// A source that a person must see to (a gap, another cluster, a row that is not what the stream
// says) stands still at its last commit, and the others go on: shards do not depend on each other,
// and what stops all of them because of one would make a mirror of many the less reliable the more
// it has. The log says so, `status` says `stopped` and why, and a reseed of its tables, SIGHUP or a
// new start tries it again. Once no source goes on, this throws what the first has stopped at.
//
// `options.config_file` says where sources are read, how their databases are reached and which
// tables they have; a source that it adds is taken up, one that it leaves out goes from the mirror
// with its tables. Without it sources are read where they were last.
void run_mirror(const RunOptions& options, const RunControl& control);

}  // namespace deltamirror
