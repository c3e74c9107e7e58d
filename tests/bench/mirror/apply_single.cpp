// Replays a daystream as `deltamirror run` does when it is caught up: each source transaction is an
// SQLite commit of its own, with its checkpoint. (When behind, `run` puts many into one commit; a
// benchmark cannot keep it exactly one transaction behind.)
//
//   apply_single DAYSTREAM MIRROR.db
//
// Prints the seconds.
#include "apply/applier.h"
#include "daystream/reader.h"
#include "floor.h"
#include "store/mirror_file.h"
#include "store/wal_keeper.h"

int main(int argc, char** argv) {
  if (argc != 3) floors::die("usage: apply_single DAYSTREAM MIRROR.db");
  try {
    const floors::Stopwatch watch;
    deltamirror::Database db = deltamirror::open_owned(argv[2]);
    const deltamirror::Checkpoint at = deltamirror::load_checkpoint(db);
    daystream::Reader reader(daystream::Stream(argv[1]), {at.position, at.lsn});
    deltamirror::Applier applier(db, std::nullopt, [] { return false; });
    deltamirror::WalKeeper keeper(db);
    while (daystream::Transaction* transaction = reader.next()) {
      applier.apply(*transaction);
      if (!applier.may_commit()) continue;
      applier.commit();
      keeper.after_commit();
    }
    watch.print();
  } catch (const std::exception& e) {
    floors::die(e.what());
  }
}
