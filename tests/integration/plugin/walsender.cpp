#include "walsender.h"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <memory>
#include <stdexcept>

namespace plugin_test {

namespace {

using std::chrono::steady_clock;

// Between half of the tests' wal_sender_timeout of a second, when the server asks, and the second.
constexpr std::chrono::milliseconds kStatusInterval{600};

// 'w', start, end, time; then the plugin's bytes. 'k', end, time, whether it asks.
constexpr int kDataHeader = 1 + 3 * 8;
constexpr int kKeepaliveAsks = 1 + 2 * 8;

struct FreeCopy {
  void operator()(char* buffer) const noexcept { PQfreemem(buffer); }
};

std::uint64_t big_endian(const char* bytes) {
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8U | static_cast<unsigned char>(bytes[i]);
  return value;
}

}  // namespace

support::Process start_receiver(const support::Cluster& server, const std::string& database,
                                const std::string& slot, const Options& options,
                                const std::filesystem::path& file, const std::string& end) {
  std::vector<std::string> arguments = {support::Cluster::tool("pg_recvlogical"),
                                        "-h",
                                        server.socket_dir(),
                                        "-U",
                                        "postgres",
                                        "-d",
                                        database,
                                        "-S",
                                        slot,
                                        "--start",
                                        "-n",
                                        "-F",
                                        "0",
                                        "-s",
                                        "1",
                                        "-f",
                                        "-"};
  if (!end.empty()) arguments.insert(arguments.end(), {"-E", end});
  for (const auto& [name, value] : options) {
    arguments.insert(arguments.end(), {"-o", name + "=" + value});
  }
  const support::Fd out(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (out.get() < 0) throw std::runtime_error("could not create " + file.string());
  support::Process::Options process;
  process.user = support::User::server();
  process.folder = "/";
  process.output_fd = out.get();
  return support::Process(arguments, process);
}

Walsender::Walsender(const support::Cluster& server, const std::string& database,
                     const std::string& slot, const Options& options, const std::string& settings)
    : connection_(
          daystream::program::connect(server.conninfo(database), "walsender test",
                                      {{"replication", "database"}, {"options", settings}})) {
  daystream::program::exec(connection_.get(), "RESET search_path");  // as `settings` have it
  std::string command = "START_REPLICATION SLOT " + slot + " LOGICAL 0/0";
  std::string separator = " (";
  for (const auto& [name, value] : options) {
    command += separator + "\"" + name + "\" " + daystream::program::quote_literal(value);
    separator = ", ";
  }
  if (!options.empty()) command += ")";
  const daystream::program::PgResult started(PQexec(connection_.get(), command.c_str()));
  if (PQresultStatus(started.get()) != PGRES_COPY_BOTH) {
    daystream::program::throw_error(connection_.get(), started.get(), "could not start");
  }
  last_status_ = steady_clock::now();
}

std::optional<std::string> Walsender::next(std::chrono::milliseconds patience) {
  const auto end = steady_clock::now() + patience;
  while (steady_clock::now() < end) {
    if (steady_clock::now() >= last_status_ + kStatusInterval) send_status();
    char* raw = nullptr;
    const int size = PQgetCopyData(connection_.get(), &raw, 1);
    const std::unique_ptr<char, FreeCopy> message(raw);
    if (size < 0) {
      const daystream::program::PgResult result(PQgetResult(connection_.get()));
      if (size == -1 && PQresultStatus(result.get()) != PGRES_FATAL_ERROR) return std::nullopt;
      daystream::program::throw_error(connection_.get(), result.get(), "could not receive");
    }
    if (size > 0) {
      if (raw[0] == 'w') return std::string(raw + kDataHeader, raw + size);
      take_keepalive(raw);
      continue;
    }
    const auto pause = std::chrono::duration_cast<std::chrono::milliseconds>(
        last_status_ + kStatusInterval - steady_clock::now());
    pollfd socket{PQsocket(connection_.get()), POLLIN, 0};
    (void)::poll(&socket, 1, static_cast<int>(std::max(pause.count(), pause.zero().count())) + 1);
    if (PQconsumeInput(connection_.get()) == 0) {
      const daystream::program::PgResult result(PQgetResult(connection_.get()));
      daystream::program::throw_error(connection_.get(), result.get(), "could not receive");
    }
  }
  throw std::runtime_error("no line from the walsender");
}

void Walsender::take_keepalive(const char* message) {
  if (message[kKeepaliveAsks] == 0) return;
  const std::uint64_t at = big_endian(message + 1);
  if (at == last_asked_at_) ++asked_again_;
  last_asked_at_ = at;
  send_status();
}

void Walsender::send_status() {
  // Written, flushed and applied: none; no time; no reply asked for.
  const char status[1 + 4 * 8 + 1] = {'r'};
  if (PQputCopyData(connection_.get(), status, sizeof status) != 1 ||
      PQflush(connection_.get()) != 0) {
    daystream::program::throw_error(connection_.get(), nullptr, "could not send a status");
  }
  last_status_ = steady_clock::now();
}

}  // namespace plugin_test
