// Transactions that the server sends before they are committed, each in a file: memory stays flat
// however large they grow, and what is rolled back leaves nothing. The files are of one connection,
// which begins all of them again.
//
// Errors: IoError; SpoolFull.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "daystream/error.h"
#include "src/dir.h"

namespace deltastream::pgoutput {

// There is no room for what is in progress. The next connection asks the server to keep it until it
// is committed.
class SpoolFull : public daystream::Error {
 public:
  explicit SpoolFull(const std::string& message);
  bool retryable() const noexcept override { return true; }
};

// Messages one after the other, in a file that goes with it.
class SpoolFile {
 public:
  SpoolFile(daystream::Dir& dir, std::string name);
  SpoolFile(const SpoolFile&) = delete;
  SpoolFile& operator=(const SpoolFile&) = delete;
  ~SpoolFile();

  void append(std::string_view message);
  std::uint64_t size() const noexcept { return size_; }
  void truncate(std::uint64_t size);
  void release();  // its memory and its descriptor, until it is used again

  // The messages from the beginning, once all are appended; false: that was the last one. The view
  // lives until the next call.
  bool next(std::string_view& message);

 private:
  void write_out();
  daystream::File& file();
  void fill(std::size_t wanted);

  daystream::Dir& dir_;
  const std::string name_;
  std::unique_ptr<daystream::File> file_;
  bool made_ = false;
  std::string buffer_;         // appended: not written yet; read: read and not given yet
  std::uint64_t written_ = 0;  // in the file
  std::uint64_t size_ = 0;
  std::uint64_t read_ = 0;  // of the file, into the buffer
  std::size_t taken_ = 0;   // of the buffer
  bool reading_ = false;
};

// The transactions in progress, by the id of the whole transaction.
class Spool {
 public:
  // Makes `directory`, and clears it of what a process before left there. `most_bytes`: of all
  // transactions in progress together; 0: as the disk has room.
  explicit Spool(const std::filesystem::path& directory, std::uint64_t most_bytes = 0);
  ~Spool();

  // A block of `xid` begins and ends; the messages of changes in between.
  void begin_block(std::uint32_t xid);
  void append(std::uint32_t xid,
              std::string_view message);  // `xid`: the transaction that made the change
  void end_block();
  // A subtransaction is rolled back, or with `sub` == `xid` all. One that is not known is nothing.
  void abort(std::uint32_t xid, std::uint32_t sub);
  // It is committed: all that is left of it. nullptr: nothing is known of it.
  std::unique_ptr<SpoolFile> take(std::uint32_t xid);

  std::unique_ptr<SpoolFile> new_file();  // for whatever else is to be kept back

  std::uint64_t bytes() const noexcept;  // in all files
  bool in_block() const noexcept { return current_ != nullptr; }
  std::size_t transactions() const noexcept { return transactions_.size(); }

 private:
  struct Begun {
    std::uint32_t sub;
    std::uint64_t at;
  };
  struct Transaction {
    std::unique_ptr<SpoolFile> file;
    // In the order in which they first wrote, which is nearly always that of their ids: a million
    // of them are found as fast as a few.
    std::vector<Begun> subs;
    std::vector<Begun> late;  // those with a smaller id than one before them
    std::uint32_t last = 0;   // that wrote last

    const Begun* find(std::uint32_t sub) const noexcept;
  };

  std::unique_ptr<daystream::Dir> dir_;
  const std::uint64_t most_bytes_;
  std::uint64_t left_bytes_ = 0;  // of these, for the rest of this block
  std::map<std::uint32_t, Transaction> transactions_;
  Transaction* current_ = nullptr;  // whose block it is
  std::uint32_t xid_ = 0;           // its id
  std::uint64_t files_made_ = 0;
};

}  // namespace deltastream::pgoutput
