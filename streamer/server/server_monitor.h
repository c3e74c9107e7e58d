// Asks the server now and then about our slot, on a thread of its own: the streaming connection
// cannot be asked, and the stream does not wait for the answer.
//
// Each sample is a short session: one that stayed open would hold up a smart shutdown without end.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>

#include "daystream/lsn.h"
#include "program/handover.h"
#include "server/wal_end.h"

namespace deltastream {

struct ServerSample {
  std::chrono::steady_clock::time_point at;
  daystream::Lsn wal_lsn;            // the server's end of WAL
  std::uint64_t retained_bytes = 0;  // WAL kept for our slot
  std::optional<std::uint64_t>
      until_lost_bytes;  // before max_slot_wal_keep_size bites; none: no limit
  std::string wal_status;
  bool synchronous_standby = false;  // commits may wait for us
  std::string waiting_for;           // what the server holds our stream back for; empty: nothing
  std::optional<WalEnd> wal_end;     // none: nobody streams from our slot there
};

// The outcome of one try: a sample, or why there is none.
struct ServerAnswer {
  std::optional<ServerSample> sample;
  std::string problem;
};

// `insert` is where the next record will be written. At the start of a page that is behind the
// page's header, and the last record's end, which is all that a stream can come to, before it.
daystream::Lsn end_of_records(daystream::Lsn insert, std::uint64_t page_bytes,
                              std::uint64_t segment_bytes) noexcept;

class ServerMonitor {
 public:
  ServerMonitor(std::string conninfo, std::string slot, std::chrono::milliseconds interval);
  ServerMonitor(const ServerMonitor&) = delete;
  ServerMonitor& operator=(const ServerMonitor&) = delete;

  const std::string& conninfo() const noexcept { return conninfo_; }
  // The newest not yet taken.
  std::optional<ServerAnswer> take();

 private:
  ServerAnswer ask() const;
  ServerSample sample() const;

  const std::string conninfo_;
  const std::string slot_;
  const std::chrono::milliseconds interval_;
  daystream::program::Mailbox<ServerAnswer> newest_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace deltastream
