// Puts the closed days of a daystream into object storage, and deletes there what is too old.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "daystream/manifest.h"
#include "daystream/stop.h"
#include "remote/archive_index.h"
#include "remote/s3_client.h"

namespace daystream::remote {

struct ArchiveRules {
  std::optional<std::uint64_t> keep_days;  // as of Housekeeping, there
  std::optional<std::uint64_t> keep_bytes;
  int compress = 3;  // zstd level of a day that lies there plain
  // Of an object larger than this, parts of this size are put; at least 5 MiB for most servers.
  std::uint64_t part_bytes = std::uint64_t{16} * 1024 * 1024;
};

// Closed days go there compressed: as they lie where they are so, else compressed for it. Each is
// gone through line by line before, and must continue the chain of the one before it there. It
// counts once archive.json names it, after its object was found there with its size and SHA-256.
// What is killed at any moment goes on where it was, within a large day too.
//
// Any number of these may archive copies of one stream to one place: they do the same.
//
// Threads: one. The directory is only read.
class Archive {
 public:
  Archive(std::filesystem::path directory, const S3Address& address, const ArchiveRules& rules,
          Stop stop);
  ~Archive();

  struct Step {
    enum class Kind { Archived, Deleted };
    Kind kind = Kind::Archived;
    std::string file;
    std::uint64_t text_bytes = 0;
    std::uint64_t stored_bytes = 0;
    std::uint64_t sent_bytes = 0;  // less than stored: the rest was there
  };
  // Archives or deletes one day, the oldest first; nullopt: nothing to do now.
  //
  // Throws WrongSource where another stream is there, or a fork of this one; PositionGone where
  // days between were deleted here before they were archived; Corruption; what S3Client throws.
  std::optional<Step> step();

  // For people, while a large day is under way: how much of it is there.
  std::function<void(const std::string& file, std::uint64_t done, std::uint64_t size)> progress;

  // Throws as step() where this stream cannot be archived there. How many days are there, and how
  // many are to come.
  struct State {
    std::size_t archived = 0;
    std::size_t waiting = 0;
    std::uint64_t stored_bytes = 0;  // of what is there
  };
  State look();

 private:
  void load();
  void put_manifest();
  void require_continuation(const ArchivedDay& last);
  std::optional<std::int64_t> next_day();
  Step archive(std::int64_t day);
  std::optional<Step> delete_one();
  void delete_leftovers();

  const std::filesystem::path directory_;
  const ArchiveRules rules_;
  const Stop stop_;
  const std::unique_ptr<Dir> dir_;
  S3Client client_;
  ArchiveIndex index_;
  std::string manifest_;  // as it is there
  bool loaded_ = false;
  bool is_tidy_ = false;  // nothing is left there that archive.json has no longer
};

}  // namespace daystream::remote
