// archive.json: what there is of a daystream in object storage (FORMAT.md, "In object storage").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "daystream/manifest.h"
#include "packed_day.h"
#include "remote/s3_client.h"

namespace daystream::remote {

inline constexpr const char* kArchiveName = "archive.json";

struct ArchivedDay {
  std::int64_t day = 0;
  std::uint64_t stored_bytes = 0;  // of the object
  std::string sha256;              // of the object
  PackedSummary summary;           // the line that it ends in

  std::string key() const;
};

struct ArchiveIndex {
  std::vector<ArchivedDay> days;  // oldest first

  const ArchivedDay* find(std::int64_t day) const noexcept;  // nullptr: it is not there
  std::uint64_t stored_bytes() const noexcept;               // of all days

  std::string text() const;
  // Throws Corruption, with `name`, and WrongSource where it is of a newer format.
  static ArchiveIndex parse(const std::string& text, const std::string& name);
};

// nullopt: there is no archive.
std::optional<ArchiveIndex> load_index(S3Client& client);
// Throws WrongSource where the archive there, whose manifest is `theirs`, is of another stream than
// `here` (`daystream "x"`), whose manifest is `ours`.
void require_archive_of(const Manifest& ours, const std::string& here, const Manifest& theirs,
                        const S3Address& there);

// Replaces it.
void save_index(S3Client& client, const ArchiveIndex& index);

}  // namespace daystream::remote
