// Tells local programs which rows each commit of the mirror has changed (--on-commit socket:PATH).
//
// Each connection gets one JSON object a line, the first at once:
//   {"version": 1, "position": "1507507200/17", "lsn": "0/17B1480"}
//   {"position": "…", "lsn": "…", "tables": {"flights": [[4711], [4712]], "log": null}}
//   {"lost": true}
// Of several sources the first line has `"sources": [{"source": "eu", "position": …, "lsn": …},
// …]`, and each commit's its "source". A key is a list of its columns' values as they stand in the
// mirror (a BLOB as {"hex": "…"}); null in place of the keys: any row may have changed, as there
// were more than 1,000 or 256 KiB of them, the table has no key, its shape changed, or it was
// copied again. A row whose key changed is there under both. What was committed is visible before
// it is announced.
//
// Nobody waits for a listener: one that leaves more than 1 MiB unread gets `lost` as its last line,
// and the connection ends. It connects again and reads again what it is interested in.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <list>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "daystream/unique_fd.h"
#include "owner/unix_socket.h"
#include "sqlite/sqlite.h"
#include "store/checkpoint.h"

namespace deltamirror {

// Lifetime: borrows the database, whose pre-update hook is its own meanwhile.
// Threads:  one at a time.
class CommitFeed {
 public:
  CommitFeed(Database& db, const std::string& path);
  CommitFeed(const CommitFeed&) = delete;
  CommitFeed& operator=(const CommitFeed&) = delete;
  ~CommitFeed();  // the socket's name goes with it

  void set_several(bool several) noexcept { several_ = several; }
  int fd() const noexcept { return sockets_.fd(); }  // readable: serve() has something to do
  void serve(const std::vector<Checkpoint>& at);     // one a source

  // Any row of it may have changed.
  void whole_table(const std::string& name);
  void committed(const Checkpoint& at);
  void rolled_back() noexcept { changed_.clear(); }

 private:
  struct Changes {
    bool all = false;
    std::vector<nlohmann::ordered_json> keys;  // none twice in a row
    std::size_t size_bytes = 0;                // of the keys, as text
  };
  struct Listener {
    std::uint64_t id;
    daystream::UniqueFd fd;
    std::string unsent;
    bool lost = false;
  };
  static void on_change(void* self, sqlite3* db, int operation, const char* database,
                        const char* table, sqlite3_int64 old_rowid, sqlite3_int64 new_rowid);
  void note(sqlite3* db, int operation, const char* table);
  void load_keys();
  void send_to(Listener& listener, const std::string& line);
  void flush(Listener& listener);

  Database& db_;
  SocketServer sockets_;
  std::list<Listener> listeners_;
  bool several_ = false;  // sources
  std::map<std::string, Changes> changed_;
  // Columns of each table's key, as of this version of the file's schema: the hook cannot ask.
  std::map<std::string, std::vector<int>, std::less<>> keys_;
  std::string schema_version_;
};

}  // namespace deltamirror
