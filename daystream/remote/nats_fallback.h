// A copy of a daystream from which is read what the broker has lost.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daystream/durable.h"
#include "daystream/error.h"
#include "daystream/stream.h"
#include "program/repeats.h"
#include "reader_source.h"
#include "remote/http_client.h"

namespace daystream::remote {

// Any kind of stream: a directory or an archive gives bytes where they stand, a server lines after
// a position. Nothing of it is believed either.
//
// Threads: one at a time.
class NatsFallback {
 public:
  // For a message that says that something is missing.
  static constexpr const char* kHint =
      "give a copy to read it from: --fallback ADDRESS of a \"daystream serve\", of an archive, or "
      "a directory";
  // For one that says that it is missing here too.
  static constexpr const char* kHintToCopy =
      "look whether that is a copy of this daystream, and how far it is";

  // `who`: we, to a server.
  NatsFallback(Stream copy, Options who) : copy_(std::move(copy)), who_(std::move(who)) {}

  const std::string& name() const noexcept { return copy_.address(); }
  // Warns, at once and then once a minute: what is missing is read from here; or it is not here.
  void stands_in_for(const std::string& missing);
  void is_away(const Error& error);

  // Up to where a daystream can be read.
  struct End {
    Durable durable{Position::begin(), {}, 0, 0};
    bool has_chain = true;  // whether durable.chain is known
    // Of the last byte: in that line, or in one behind it that has no end yet.
    std::int64_t day = 0;
    std::uint64_t size = 0;

    std::pair<std::int64_t, std::uint64_t> spot() const noexcept { return {day, size}; }
  };
  std::optional<End> end();  // nullopt: it cannot say so
  std::string manifest();    // its text

  // The days that it has, oldest first: as they were not long ago.
  const std::vector<std::int64_t>& days();
  std::uint64_t size_of(std::int64_t day);  // 0: it does not have it
  // Some bytes from there on; empty: it does not have them either. `known`: a place of that day at
  // or before it, for a server, which finds places by position; nullopt: from the day's first line.
  std::string read(std::int64_t day, std::uint64_t offset, const std::optional<Durable>& known);

 private:
  bool begin_lines(std::int64_t day, const std::optional<Durable>& known);
  std::string read_lines(std::int64_t day, std::uint64_t offset,
                         const std::optional<Durable>& known);
  std::shared_ptr<Dir> files();

  const Stream copy_;
  const Options who_;
  program::Repeats repeats_;
  std::vector<std::int64_t> days_;
  std::chrono::steady_clock::time_point days_until_{};
  std::shared_ptr<Dir> files_;  // of a kind that has some
  // Of a server: what is read from, up to where, and what is added to its offsets for those of the
  // day file.
  std::unique_ptr<ReaderSource> source_;
  std::int64_t day_ = 0;
  std::int64_t at_day_ = 0;
  std::uint64_t at_ = 0;
  std::uint64_t base_ = 0;
};

}  // namespace daystream::remote
