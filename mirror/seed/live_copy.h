// Rows of PostgreSQL on their way into a mirror that its owner goes on following.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apply/applier.h"
#include "config/config.h"
#include "daystream/lsn.h"
#include "daystream/position.h"
#include "seed/seed_session.h"
#include "store/checkpoint.h"

namespace deltamirror {

class NewerSnapshot;

struct LiveSeedRequest {
  std::string mirror;
  std::string conninfo;
  daystream::Stream daystream;
  std::vector<TableRequest> tables;
  std::string source = {};  // whose they are
  Unfit unfit = Unfit::Refuse;
  int places = 0;  // how many copies the server may make at once (SeedSession); 0: any number
  // The stream has nothing that leads from where the mirror is to where the copy is: with the copy
  // the mirror goes there, and stands still until then. For a request of all followed tables of the
  // source.
  bool from_its_seam = false;
  // Not from PostgreSQL, but from a newer snapshot. nullptr: from PostgreSQL.
  std::shared_ptr<NewerSnapshot> from = nullptr;
  std::string known_snapshot = {};  // which has been looked at, and is of no use
  // And which is at this place at least: what became of the tables before, it has seen, too.
  daystream::Position newer_than = {};
  // Called once the tables are known as they come, before their rows do.
  std::function<void(const std::vector<SeedTable>&)> on_tables = {};
  // Called where one has to go without a table, and with those that are left begins again.
  std::function<void(const std::string& name, const std::string& why)> on_left_out = {};
  std::string why = {};   // it is asked for, for messages
  std::string help = {};  // and what helps where no snapshot is ever on offer
};

// Done in steps between those of the replay, of at most about 50 ms.
//
// Errors: step() throws what seeds throw; the object is then of no more use.
class LiveCopy {
 public:
  LiveCopy() = default;
  LiveCopy(const LiveCopy&) = delete;
  LiveCopy& operator=(const LiveCopy&) = delete;
  virtual ~LiveCopy() = default;

  // Readable when step() may have something to do.
  virtual int fd() const noexcept = 0;
  // With no SQLite transaction open, and the mirror at `at`. True: there is more to do at once;
  // else fd() shows when.
  virtual bool step(const Checkpoint& at) = 0;
  // All is there and caught up to where the last step() said that the mirror is.
  virtual bool ready() const noexcept = 0;
  // Only with ready(), before anything else is applied. Opens the transaction of `applier`.
  virtual void install(Applier& applier) = 0;

  // With ready(): what install() brings is at a commit of PostgreSQL from here on.
  virtual daystream::Lsn consistent_at() const noexcept = 0;
  // And all that PostgreSQL committed up to there, it did before; microseconds since 1970.
  virtual std::int64_t taken_us() const noexcept = 0;
  virtual std::uint64_t rows() const noexcept = 0;    // that have come
  virtual double expected_rows() const noexcept = 0;  // estimated by PostgreSQL; below 0: not known
  virtual std::uint64_t written() const noexcept = 0;  // of them, by install() or for it
  // Tables that could not be copied, of a request that passes them over; known with ready().
  virtual const std::vector<TableProblem>& problems() const noexcept = 0;
  // The tables are others in the end, not only some of their rows.
  virtual bool replaces_tables() const noexcept = 0;
};

}  // namespace deltamirror
