// What a mirror reads of one source, in the order in which it may take that up.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "daystream/reader.h"
#include "owner/engine.h"
#include "store/checkpoint.h"

namespace deltamirror {

// A transaction that must wait is kept, and is the next one again.
//
// Lifetime: borrows the options.
class SourceReader {
 public:
  // `asked`: the tables whose rows a server is to send (apply/asked_tables.h); empty: all.
  SourceReader(const RunOptions& options, std::string asked)
      : options_(options), asked_(std::move(asked)) {}

  const std::string& asked() const noexcept { return asked_; }
  // From where the mirror is now. Throws StreamGap where the stream does not have that place: then
  // nothing can be read before it is opened at another.
  void open(const Checkpoint& at);
  daystream::Manifest manifest() const;

  // nullptr: there is none yet. Throws StreamGap.
  daystream::Transaction* next();
  // A server has to be waited for before next() gives one.
  bool must_wait();
  // Why nothing comes of a server (Reader::away()); nullopt: nothing is wrong.
  std::optional<daystream::Away> away() const { return reader_ ? reader_->away() : std::nullopt; }
  std::uint64_t backlog_bytes() { return reader_ ? reader_->backlog_bytes() : 0; }
  // Until there may be another one, or `fd` is readable.
  void wait(std::chrono::milliseconds longest, int fd);

  // Whether a delayed mirror must not have it yet.
  bool is_early(const daystream::Transaction& transaction) const;
  enum class Kept { Nothing, Early, Beyond };
  // What next() gave last: it is not due, or past the end.
  void keep(Kept why) noexcept { kept_ = why; }
  bool is_past_end() const noexcept { return kept_ == Kept::Beyond; }

 private:
  std::int64_t due(const daystream::Transaction& transaction) const;

  const RunOptions& options_;
  const std::string asked_;
  std::optional<daystream::Reader> reader_;
  daystream::Transaction* last_ = nullptr;  // what next() gave
  Kept kept_ = Kept::Nothing;               // why it is the next one again
};

}  // namespace deltamirror
