// What a message on JetStream says: a range of a day file, or the manifest (FORMAT.md, "On NATS
// JetStream").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "daystream/durable.h"
#include "daystream/manifest.h"
#include "remote/nats_link.h"

namespace daystream::remote {

// A place in a daystream: day, and byte of its file.
using Spot = std::pair<std::int64_t, std::uint64_t>;

inline constexpr const char* kManifestToken = "manifest";  // of its subject

// Of which stream a message is: what all copies of one have alone.
std::string stream_id_of(const Manifest& manifest);

// The last token of a day's subject, and backwards; nullopt: it is none.
std::string day_token(std::int64_t day);
std::optional<std::int64_t> day_of_subject(std::string_view subject);

struct NatsRange {
  std::string stream_id;
  std::int64_t day = 0;
  std::uint64_t begin = 0;  // in the day file
  std::uint64_t end = 0;
  std::uint32_t sum_before = 0;  // CRC-32C of the day file up to there
  std::uint32_t sum_after = 0;
  // Where whole lines are known to end, at `end` or before: what a directory's `durable` would say.
  Durable durable;
  std::uint32_t manifest_sum = 0;  // CRC-32C of the manifest that holds for it
  // Of a day's first message: which day was published before that one, and how many bytes it has.
  // nullopt: it is the first day that was published.
  struct DayEnd {
    std::int64_t day = 0;
    std::uint64_t size_bytes = 0;
  };
  std::optional<DayEnd> before;

  NatsLink::Headers headers() const;
};

// Whether it says to be a range of a day. Others may be in the stream too: they are passed over.
bool is_range(const NatsMessage& message);

// nullopt: it is no such message, or its bytes are not those that were published: `why` says.
std::optional<NatsRange> read_range(const NatsMessage& message, std::string& why);

struct NatsManifest {
  std::string stream_id;
  std::string text;
  // The oldest day that is to be there: those before it were deleted by the publisher, and one
  // after it that is not there is lost. nullopt: no day was there yet.
  std::optional<std::int64_t> first_day;

  std::uint32_t sum() const;
  NatsLink::Headers headers() const;
};

// nullopt: it is no manifest, or its bytes are not those that were published.
std::optional<NatsManifest> read_manifest(const NatsMessage& message);

}  // namespace daystream::remote
