// The owner's control socket, MIRROR.db.sock: how commands ask the process that owns a mirror.
//
// One JSON object a line. A request and what may come back:
//   {"version": 1, "request": "seed", "tables": [{"table": "flights"}], "conninfo": "service=prod"}
//   {"version": 1, "state": "running", "rows": 120000, "expected_rows": 2000000}
//   {"version": 1, "state": "done"}
//   {"version": 1, "state": "failed", "error": "…", "hint": "…", "exit_code": 3}
// `running` comes any number of times; `done` or `failed` is the last and the connection ends.
//
// Requests:
//   status          pid, position, lsn and what the owner is at
//   seed            adds "tables", spelt as in the configuration; "conninfo" is optional
//   reseed          makes "tables" (names in the mirror) the same as PostgreSQL's: writes the rows
//                   that differ, or, where they are many or "whole" is true, copies them again
//   remove          drops "tables" (names in the mirror) from the mirror
//                   (In a mirror of several sources, "source" names the one that these three are
//                   about.)
//   reload          reads the configuration again, as SIGHUP does
//   wal-checkpoint  moves the write-ahead log into the file as far as readers let it
// Whatever may connect may change the mirror: the socket is open to the owner's user only.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "daystream/error.h"
#include "daystream/unique_fd.h"
#include "owner/unix_socket.h"
#include "program/program.h"
#include "store/last_events.h"

namespace deltamirror {

std::string control_path(const std::string& mirror);

struct ControlRequest {
  std::uint64_t client = 0;  // to answer
  std::string line;          // the JSON, as it came
};

// Threads: any. Nothing here waits for a client: one that does not read is dropped.
class ControlServer {
 public:
  explicit ControlServer(const std::string& mirror);
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  int fd() const noexcept { return sockets_.fd(); }  // readable: next() has something to do
  std::optional<ControlRequest> next();

  // All do nothing where the client has gone.
  void tell(std::uint64_t client, const nlohmann::json& answer);
  void done(std::uint64_t client, nlohmann::json answer);
  void failed(std::uint64_t client, const daystream::Error& error);

 private:
  struct Client {
    std::uint64_t id;
    daystream::UniqueFd fd;
    LineBuffer in;
  };
  void send_to(std::uint64_t client, const nlohmann::json& answer);
  void close(std::uint64_t client);

  std::mutex mutex_;
  SocketServer sockets_;
  std::list<Client> clients_;
};

// Asks the owner of `mirror` and waits for the last answer; `running` is called for those before.
// nullopt: nobody owns it. Throws what the owner says went wrong, with its exit code; and where a
// signal asks to stop, after which the owner goes on with the request all the same.
std::optional<nlohmann::json> ask_owner(const std::string& mirror, const nlohmann::json& request,
                                        const daystream::program::Signals& signals,
                                        const std::function<void(const nlohmann::json&)>& running);

// What the owner of `mirror` says of itself. Nothing where it cannot be asked: it does not listen,
// or not to this user.
struct OwnerSays {
  bool hangs = false;  // it is there and does not answer, for 5 s: one that lives does so also
                       // within a transaction
  std::map<std::string, LastError> unstored = {};  // by source: errors that it could not write
  std::map<std::string, LastError> streams = {};   // by source: see stream_trouble()
};
OwnerSays ask_how_it_is(const std::string& mirror);

}  // namespace deltamirror
