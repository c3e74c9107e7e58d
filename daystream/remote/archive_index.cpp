#include "remote/archive_index.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "crc32c.h"
#include "day_file.h"
#include "daystream/error.h"
#include "json_text.h"
#include "program/json.h"
#include "program/sha256.h"

namespace daystream::remote {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr int kFormat = 1;

ordered_json to_json(const ArchivedDay& day) {
  const PackedSummary& summary = day.summary;
  return {{"file", day.key()},         {"stored_bytes", day.stored_bytes},
          {"sha256", day.sha256},      {"last", summary.position.text()},
          {"lsn", summary.lsn.text()}, {"size_bytes", summary.size_bytes},
          {"frames", summary.frames},  {"chain", crc_text(summary.chain)}};
}

// nullopt: it cannot be one.
std::optional<ArchivedDay> day_from(const json& value) {
  const auto day = day_of_file_name(value.at("file").get<std::string>());
  const auto position = Position::parse(value.at("last").get<std::string>());
  const auto lsn = Lsn::parse(value.at("lsn").get<std::string>());
  const auto chain = parse_crc(value.at("chain").get<std::string>());
  if (!day || !position || !lsn || !chain) return std::nullopt;
  ArchivedDay found;
  found.day = *day;
  value.at("stored_bytes").get_to(found.stored_bytes);
  value.at("sha256").get_to(found.sha256);
  found.summary.position = *position;
  found.summary.lsn = *lsn;
  found.summary.chain = *chain;
  value.at("size_bytes").get_to(found.summary.size_bytes);
  value.at("frames").get_to(found.summary.frames);
  const std::uint64_t most_frames = found.stored_bytes / kSealedLineSize;
  const bool possible = found.summary.frames > 0 && found.summary.frames < most_frames &&
                        value.at("file").get<std::string>() == found.key();
  if (!possible) return std::nullopt;
  return found;
}

}  // namespace

std::string ArchivedDay::key() const {
  return packed_file_name(day);
}

const ArchivedDay* ArchiveIndex::find(std::int64_t day) const noexcept {
  const auto found = std::find_if(days.begin(), days.end(),
                                  [day](const ArchivedDay& one) { return one.day == day; });
  return found != days.end() ? &*found : nullptr;
}

std::uint64_t ArchiveIndex::stored_bytes() const noexcept {
  return std::accumulate(
      days.begin(), days.end(), std::uint64_t{0},
      [](std::uint64_t sum, const ArchivedDay& day) { return sum + day.stored_bytes; });
}

std::string ArchiveIndex::text() const {
  ordered_json value = {{"format", kFormat}, {"days", ordered_json::array()}};
  for (const ArchivedDay& day : days) value["days"].push_back(to_json(day));
  return json_page(value);
}

ArchiveIndex ArchiveIndex::parse(const std::string& text, const std::string& name) {
  const auto damaged = [&name] {
    return Corruption(name, 0, "not what \"daystream archive\" writes",
                      "\"daystream archive\" to another prefix makes the archive again of the days "
                      "that are kept");
  };
  const auto value = program::parse_json<json>(text);
  ArchiveIndex index;
  try {
    if (value.at("format").get<int>() > kFormat) {
      throw WrongSource(fmt::format("\"{}\" has format {}, newer than {}", name,
                                    value.at("format").get<int>(), kFormat),
                        "update this program");
    }
    for (const json& one : value.at("days")) {
      const auto day = day_from(one);
      if (!day || (!index.days.empty() && index.days.back().day >= day->day)) throw damaged();
      index.days.push_back(*day);
    }
  } catch (const json::exception&) {
    throw damaged();
  }
  return index;
}

std::optional<ArchiveIndex> load_index(S3Client& client) {
  const auto text = client.get(kArchiveName);
  if (!text) return std::nullopt;
  return ArchiveIndex::parse(*text, client.address().name_of(kArchiveName));
}

void require_archive_of(const Manifest& ours, const std::string& here, const Manifest& theirs,
                        const S3Address& there) {
  const std::string name = fmt::format("archive \"{}\"", there.name());
  const std::string hint = "each stream has an archive of its own: look at the prefix";
  require_same_source(here, ours.source(), name, theirs.source(), hint, Pipe::IsAnother);
  if (ours.id != theirs.id) {
    throw WrongSource(fmt::format("{} is not the stream that {} is of", here, name), hint);
  }
}

void save_index(S3Client& client, const ArchiveIndex& index) {
  const std::string text = index.text();
  client.put(kArchiveName, text, program::sha256_of(text));
}

}  // namespace daystream::remote
