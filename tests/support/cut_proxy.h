// A proxy between a libpq client and PostgreSQL that breaks the connection where a test wants it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace support {

// Listens on a loopback TCP port of its own (where a reset is a real RST) and forwards each
// connection to PostgreSQL's Unix socket.
//
// Ownership:  owns its sockets and one thread; the destructor ends both.
// Threads:    every member may be called from any thread.
// Counting:   bytes are counted over all connections since the last arm() or construction, so that
//             a whole session, its short helper connections included, is one row of bytes.
class CutProxy {
 public:
  enum class Direction { ToServer, ToClient };
  enum class Fault {
    Close,  // both ends see an orderly end of file
    Reset,  // the client sees a reset, the server an end of file
    Stall,  // half open: neither end hears of the other again, and neither is told
  };

  // `server_socket_dir` and `port` name the socket as libpq does: DIR/.s.PGSQL.PORT. The server
  // need not run: a connection that cannot be forwarded is closed.
  explicit CutProxy(const std::string& server_socket_dir, int port = 5432);
  ~CutProxy();
  CutProxy(const CutProxy&) = delete;
  CutProxy& operator=(const CutProxy&) = delete;

  // "host=127.0.0.1 port=N sslmode=disable gssencmode=disable": add user and dbname.
  std::string conninfo() const;

  // Counts from zero again. Byte `after_bytes` in `direction` is the last that is passed on: then
  // the connection that carried it meets `fault`, once; later connections are untouched.
  void arm(Direction direction, std::uint64_t after_bytes, Fault fault);
  void disarm();  // counts from zero, breaks nothing
  bool fired() const;
  std::uint64_t forwarded(Direction) const;  // since arm() or disarm()
  // From now on `onlooker` is shown each piece of bytes that goes to the server, as the client
  // wrote it, once it is passed on. It is called on the proxy's thread and must not call the proxy.
  void watch_to_server(std::function<void(std::string_view)> onlooker);

  void break_all(Fault);  // every connection there is, now
  // While true nothing is forwarded in either direction; what waits goes on afterwards. Connections
  // that a Stall took stay silent.
  void hold(bool);
  // Every chunk is passed on this much later than it came.
  void delay(std::chrono::milliseconds);
  // Closes what Stall left half open, as a network that gives up at last.
  void drop_stalled();

  std::uint64_t connections() const;     // accepted since construction
  std::size_t open_connections() const;  // 0: all have ended, and nothing more comes of them

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace support
