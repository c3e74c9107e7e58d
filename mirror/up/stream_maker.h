// Streams come into being, and go again where nothing came of them: what `up` makes of them at
// servers and on disk.
#pragma once

#include <string>
#include <vector>

#include "up/own_stream.h"
#include "up/publishing.h"
#include "up/up.h"

namespace deltamirror {

// What it makes is recorded first (up/up_record.h), and known as not used until the mirror has a
// source of that name.
//
// Threads: one at a time.
class StreamMaker {
 public:
  StreamMaker(const UpOptions& options, const daystream::program::Signals& signals)
      : options_(options), signals_(signals) {}

  // All that can be wrong with those that are not there, before anything of them is made: tables,
  // rights, and that two sources are one database. Throws what a seed would throw of it.
  void check(const std::vector<OwnStream>& streams) const;
  // That a source which has a stream can go on with `next` in place of `now`, as `up --check` finds
  // it out: its deltastream is asked what it lacks. Nothing is changed. Returns early once `stop`
  // is requested. Throws NeedsPerson or Error, with what to do.
  void check_change(const OwnStream& now, OwnStream next, const daystream::Stop& stop) const;
  // What is there is noted, and what a stream without our plugin needs is made. `tables`: those
  // that come into it now. A stream that is there goes on without the server, and waits for it. The
  // slot itself is made by its deltastream.
  void prepare(OwnStream& stream, const std::vector<TableRequest>& tables);
  // Makes the publication of a stream that is there have `tables` as well. Nothing where it has
  // none. Throws what keeps it from that.
  void publish_more(OwnStream& stream, const std::vector<TableRequest>& tables);
  // Takes all but its tables out of the publication that it has made for the stream. What cannot be
  // is said.
  void publish_no_more(const OwnStream& stream) const;
  // A deltastream has made its directory and a first line, and has said what it holds by now, so
  // that it can be seeded from.
  bool is_there(const OwnStream& stream) const;

  // Whatever became of it.
  bool has_made_any() const noexcept { return !made_.empty(); }
  // Nothing was there before, and the mirror does not have its source yet.
  bool is_unused(const OwnStream& stream) const;
  // Removes those but `needed`. Their deltastreams have ended. What cannot be removed is said.
  void undo_unused(const std::vector<OwnStream>& needed = {});

  // Those that it has made and `streams` does not have: of sources that have left.
  std::vector<OwnStream> left(const std::vector<OwnStream>& streams) const;
  // That its slot does, at the end or where its source has left, and what removes it.
  void say_that_it_stays(const OwnStream& stream) const;

  // What "down" has to be given, too. A connection string may hold a password: it stays unsaid.
  std::string as_it_was_given() const;

 private:
  void prepare_at_server(OwnStream& stream, std::vector<TableRequest> tables);
  // A configuration says all that it is about.
  const std::vector<TableRequest>& wanted(const OwnStream& stream,
                                          const std::vector<TableRequest>& tables) const;
  void publish_tables(PGconn* pg, OwnStream& stream, const Ways& ways,
                      const std::vector<TableRequest>& tables);
  bool is_ours(const OwnStream& stream) const;
  void check_databases(const std::vector<OwnStream>& streams) const;
  void undo(const OwnStream& stream) const;

  const UpOptions& options_;
  const daystream::program::Signals& signals_;
  std::vector<OwnStream> made_;  // by this run
};

}  // namespace deltamirror
