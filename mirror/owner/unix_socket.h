// Unix sockets beside a mirror: named by paths of any length, open to the owner of the process
// only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "daystream/unique_fd.h"
#include "src/place.h"

namespace deltamirror {

// Listens at `path`, replacing a socket that a dead process left there; anything else there is an
// error. Mode 0600 before the first connection can come. Non-blocking. Throws IoError.
daystream::UniqueFd listen_at(const std::string& path);

// Throws IoError with errno ENOENT or ECONNREFUSED where nobody listens.
daystream::UniqueFd connect_to(const std::string& path);

// A socket that several connect to: takes new connections, and says which has something to read.
//
// Ownership: the connections are its user's. The socket's name goes with it, unless it is another's
//            by now.
// Threads:   one at a time.
class SocketServer {
 public:
  // `most`: connections that are open at once; those beyond are closed as they come.
  SocketServer(std::string path, std::size_t most);
  SocketServer(const SocketServer&) = delete;
  SocketServer& operator=(const SocketServer&) = delete;
  ~SocketServer();

  const std::string& path() const noexcept { return path_; }
  int fd() const noexcept { return epoll_.get(); }  // readable: next() has something

  struct Event {
    std::uint64_t id = 0;        // of the connection; never 0
    daystream::UniqueFd opened;  // it is new, and this is it; does not wait
    bool readable = false;       // else it takes more
  };
  // `open`: how many connections its user has. nullopt: nothing happens now.
  std::optional<Event> next(std::size_t open);
  // Whether next() says also when the connection takes more; at first it does not.
  void watch(std::uint64_t id, const daystream::UniqueFd& connection, bool to_write) noexcept;

 private:
  bool add(int fd, std::uint64_t id) noexcept;

  std::string path_;
  std::size_t most_;
  daystream::UniqueFd epoll_;
  daystream::UniqueFd listener_;
  std::optional<daystream::FileIdentity> identity_;  // of our socket, while it has that name
  std::uint64_t last_id_ = 0;
};

// Lines from a descriptor, up to a length.
class LineBuffer {
 public:
  enum class Read { Again, Closed, TooLong };
  // Takes what is there now. After Closed and TooLong the connection is of no more use.
  Read fill(int fd);
  bool next(std::string& line);  // without its newline

 private:
  std::string bytes_;
};

}  // namespace deltamirror
