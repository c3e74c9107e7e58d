// The Writer's inside. Opening and the manifest are in writer_open.cpp, what becomes of a line in
// writer_lines.cpp, files and flushing in writer_files.cpp; writer.cpp is the door.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "daystream/line.h"
#include "daystream/unique_fd.h"
#include "daystream/writer.h"
#include "dir.h"
#include "flush.h"
#include "line_prefix.h"
#include "place.h"
#include "recovery.h"
#include "write_buffer.h"

namespace daystream {

class Writer::Impl {
 public:
  Impl(const std::filesystem::path& directory, const Manifest& wanted,
       std::optional<Lsn> confirmed_flush, WriterOptions options);

  void append(std::string_view lines);
  void abort();
  void mark(Lsn lsn, const MarkFacts& facts);
  void gap(Lsn old_slot_end,
           const std::vector<std::pair<std::string, std::string>>& leading_fields);
  void check_place() {
    if (place_) place_->look();
  }
  void write_out();
  std::shared_ptr<Flush::Work> begin_flush();
  void finish_flush(const Flush::Work& work);
  void release_files();
  void take_files();  // where they were released
  void declare_holding(const Holding& holding);
  void declare_keeping(std::optional<std::uint64_t> days, std::optional<std::uint64_t> bytes);

  bool in_transaction() const { return open_; }
  bool dirty() const { return flushed_position_ != flushable_position(); }

  Manifest manifest_;
  Recovery recovery_;
  Position last_ = Position::begin();
  Lsn last_lsn_;
  std::int64_t last_commit_time_us_ = 0;
  bool after_gap_ = false;
  std::optional<std::uint64_t> known_next_;  // in the last commit or mark that had it
  Position flushed_position_ = Position::begin();
  Lsn flushed_lsn_;
  std::uint64_t appended_bytes_ = 0;
  std::uint64_t appended_lines_ = 0;

 private:
  void open_manifest(const std::filesystem::path& directory, const Manifest& wanted,
                     std::optional<Lsn> confirmed_flush);
  void open_durable();
  void continue_from(Recovered recovered);
  void check_usable() const;

  Position next_position() const;
  bool is_new_day(Position at) const;
  Position ready_position();
  void open_day_file(Position at);
  void write_blocks();
  void write_front(std::size_t size);
  template <typename Action>
  void on_disk(const Action& action);
  void begin_transaction(std::string_view first_line);
  void append_line(std::string_view line);
  bool has_open_xid(std::string_view line);
  std::string_view append_rows(std::string_view lines);
  void add_row(std::string_view line);
  void commit(std::string_view line, const Change& change);
  void drop_open();
  void abort_written();
  void add_end_line(std::string_view body);
  void add_single(Position at, std::string_view body);
  std::string mark_body(Lsn lsn, const MarkFacts& facts, bool first_of_day) const;
  // Through where begin_flush() takes it: what waits in memory is not part.
  Position flushable_position() const { return open_ && !open_written_ ? before_open_ : last_; }

  WriterOptions options_;
  UniqueFd lock_;
  bool released_ = false;            // lock_, file_ and durable_file_ are not held; all else stands
  std::optional<PlaceWatch> place_;  // none: the directory is not one of the disk
  std::shared_ptr<Dir> dir_;
  std::shared_ptr<File> durable_file_;
  std::shared_ptr<std::atomic<int>> failed_ = std::make_shared<std::atomic<int>>(0);

  std::shared_ptr<File> file_;  // nullptr: no day begun, or released
  std::int64_t day_ = 0;
  std::int64_t least_c_ = 0;   // after recovery: past what readers may have seen
  std::uint64_t written_ = 0;  // bytes of file_ the kernel has
  WriteBuffer buffer_;         // follows written_

  LinePrefix prefix_;              // of the next line of the open transaction
  std::uint32_t chain_ = 0;        // running CRC up to buffer_[crc_at_]
  std::uint32_t group_chain_ = 0;  // at the last end line
  std::size_t crc_at_ = 0;

  // The open transaction.
  bool open_ = false;
  bool open_written_ = false;  // part of it is out of the buffer
  std::size_t open_at_ = 0;    // in buffer_, while not open_written_
  std::uint64_t open_bytes_ = 0;
  std::uint64_t open_lines_ = 0;
  std::string xid_field_;  // `_xid N` and a tab
  std::string row_start_;  // `_table T _xid N` and a tab, of the last row; empty: none yet
  std::uint32_t xid_ = 0;
  Position before_open_;
};

}  // namespace daystream
