// What the owner of a mirror does beside following: hears requests, reads its configuration again,
// and sees to copies of tables.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apply/applier.h"
#include "owner/copies.h"
#include "owner/inbox.h"
#include "program/repeats.h"

namespace deltamirror {

// What a request names to be added. Throws ConfigError.
std::vector<TableRequest> tables_to_add(const nlohmann::json& asked, const std::string& source);

// Lives as long as its source is followed; Appliers come and go under it. What is asked for by
// requests and configurations becomes a wish that is stored, or a copy (owner/copies.h).
//
// Threads: the source's, with the turn, but inbox(); status() any, with the turn.
//
// Errors: a request that fails is answered and logged so, and the mirror goes on. What
//         step() throws ends it: work that it cannot go on without.
class OwnerWork {
 public:
  // `server` to answer by, `feed` to announce changes by; nullptr: there is none.
  OwnerWork(Database& db, const RunOptions& options, const RunControl& control,
            ControlServer* server, CommitFeed* feed);

  Inbox& inbox() noexcept { return inbox_; }
  const Copies& copies() const noexcept { return copies_; }

  // With nothing pending in `applier`; what is pending afterwards is to be committed as soon as it
  // may. True: there is more to do at once.
  bool step(Applier& applier);
  // step() would do something at once, or has to look.
  bool has_work() const noexcept { return copies_.busy() || !inbox_.empty(); }

  // The Applier has committed, or will never commit what it took up.
  void committed(const Checkpoint& at);
  void rolled_back() noexcept;
  // An Applier has failed with `error`. True: a table is copied again, or is about to be in place,
  // and then it may succeed: go on with a new Applier, once copies() are no longer stalled().
  bool take_over(const daystream::Error& error);
  // What has ended it before is tried again.
  void forget_failure() noexcept { copies_.forget_failure(); }

  // As the command line says, or else the configuration that was taken last.
  OnTrouble on_trouble() const noexcept { return on_trouble_; }
  nlohmann::json status() const;

 private:
  void handle(const SourceRequest& request, Applier& applier);
  void add_tables(const SourceRequest& request);
  void reseed_tables(const SourceRequest& request);
  void remove_tables(const SourceRequest& request, Applier& applier);
  std::string what_brings_back(const MirroredTable& table) const;
  void take(const MirrorConfig& config, Applier& applier);
  void rehearse_with(const std::vector<SeedTable>& coming);
  void give_up_extra_sql(const daystream::Error& error);
  void run_extra_sql_of_copies();
  const std::string& connection(const std::optional<std::string>& given) const;
  bool keep_as_it_was(const NeedsReseed& trouble);

  Database& db_;
  const RunOptions& options_;
  ControlServer* const server_;
  CommitFeed* const feed_;
  Inbox inbox_;
  Copies copies_;
  std::vector<std::string> extra_sql_;  // to be run once the tables are there
  daystream::program::Repeats waits_;
  OnTrouble on_trouble_;
};

}  // namespace deltamirror
