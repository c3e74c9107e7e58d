// A private, real PostgreSQL for tests.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "program/postgres.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace support {

using Row = std::vector<std::optional<std::string>>;
using Rows = std::vector<Row>;

// One session on a server, for tests that need transactions open side by side. Errors are
// daystream::program's: SqlError with the server's text and SQLSTATE, ConnectionLost.
class Session {
 public:
  explicit Session(const std::string& conninfo);
  Rows query(const std::string& sql);          // the last statement's rows when there are several
  std::string scalar(const std::string& sql);  // one value; throws when there is none or NULL
  void execute(const std::string& sql);
  // Sends without waiting, for a statement that is to block; finish() waits and throws its error.
  void send(const std::string& sql);
  bool busy();
  void finish();
  PGconn* connection() const noexcept { return connection_.get(); }
  int backend_pid() const;

 private:
  daystream::program::PgConn connection_;
};

// Owns a data folder and its postmaster: reached by a socket in a temporary folder only, superuser
// "postgres", trust, wal_level=logical, deltaflood.so of this build loadable and allowed, the
// extension of sql/ installable (where the server knows extension_destdir, as Debian's does).
// As root it runs as another user (User::server()).
//
// Removed on destruction; if the test dies, the kernel stops the postmaster and a reaper removes
// the folder. When an operation fails, the exception carries the end of the server's log.
// Cost: about 0.3 s, as one initdb is shared by all clusters of a build folder; hence these have
// the same system identifier unless `own_system_identifier`. A test that has ended leaves its data
// folder to the next one of its process, which takes back what was changed.
class Cluster {
 public:
  struct Options {
    std::vector<std::string> config = {};  // more lines of postgresql.conf, "name = value"
    bool own_system_identifier = false;    // an initdb of its own
    std::vector<std::string> initdb_arguments = {};  // more of them; imply an initdb of its own
    bool fsync = false;                   // with SIGKILL the page cache survives: tests need none
    const Cluster* standby_of = nullptr;  // made by pg_basebackup, streams from it
    std::string standby_slot = {};        // a physical slot on it to use; made if missing
    bool start = true;
  };

  Cluster() : Cluster(Options{}) {}
  explicit Cluster(const Options&);
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // "host=… user=postgres dbname=…"
  std::string conninfo(const std::string& database = "postgres",
                       const std::string& user = "postgres") const;
  std::string socket_dir() const { return (dir_ / "socket").string(); }
  std::filesystem::path data_dir() const { return dir_ / "data"; }
  pid_t postmaster_pid() const;  // throws when it does not run
  bool running();

  // Each call is a session of its own.
  Session session(const std::string& database = "postgres") const;
  Rows query(const std::string& sql, const std::string& database = "postgres") const;
  std::string scalar(const std::string& sql, const std::string& database = "postgres") const;
  void execute(const std::string& sql, const std::string& database = "postgres") const;
  void create_database(const std::string& name, const std::string& options = {}) const;

  void start();  // waits until it takes connections
  enum class Shutdown { Smart, Fast, Immediate };
  void request_stop(Shutdown = Shutdown::Fast);
  void stop(Shutdown = Shutdown::Fast);
  void kill9();  // SIGKILL to the postmaster; waits until its children are gone too
  void restart(Shutdown mode = Shutdown::Fast);
  void promote();                                         // a standby; waits until it takes writes
  void configure(const std::vector<std::string>& lines);  // appends and reloads
  void append_config(const std::string& lines);           // for the next start

  // Runs a program of this PostgreSQL (psql, pg_recvlogical, pgbench…) as User::server().
  std::string run_tool(const std::string& name, std::vector<std::string> arguments,
                       Process::Options options = {}) const;
  static std::string tool(const std::string& name);  // its path

  std::string log_tail(std::size_t size_bytes = 4000) const;

 private:
  void initialize(const Options&);
  void copy_from_primary(const Options&);
  void install_our_files();

  TempDir dir_;
  std::optional<Process> postmaster_;
};

}  // namespace support
