// Clients of a walsender: pg_recvlogical as a child, and one of the tests' own for what that
// cannot: to answer at once, to see what the server asks, and to stop in the middle.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "decoding.h"

namespace plugin_test {

// A pg_recvlogical that writes what comes to `file`, up to `end` where given; it ends when it is
// destroyed.
support::Process start_receiver(const support::Cluster& server, const std::string& database,
                                const std::string& slot, const Options& options,
                                const std::filesystem::path& file, const std::string& end = {});

// A started slot. One thread; the connection ends with the object. Nothing is ever confirmed, so a
// slot stays where it is.
class Walsender {
 public:
  // `settings` are options of the server process, as in "-c logical_decoding_work_mem=64kB".
  Walsender(const support::Cluster& server, const std::string& database, const std::string& slot,
            const Options& options, const std::string& settings = {});

  // The next message of lines; nullopt: the server has ended the stream. Meanwhile keepalives that
  // ask for a reply are answered at once, and a status is sent when nothing was for
  // kStatusInterval. Throws SqlError with the server's error, ConnectionLost, and
  // std::runtime_error when nothing came for `patience`.
  std::optional<std::string> next(std::chrono::milliseconds patience);

  // How often the server asked for a reply at the place where it had last asked: it had not come to
  // another record meanwhile, so it was the plugin that let it ask.
  int asked_again() const noexcept { return asked_again_; }
  int backend_pid() const { return PQbackendPID(connection_.get()); }

 private:
  void send_status();
  void take_keepalive(const char* message);

  daystream::program::PgConn connection_;
  std::chrono::steady_clock::time_point last_status_;
  std::uint64_t last_asked_at_ = 0;
  int asked_again_ = 0;
};

}  // namespace plugin_test
