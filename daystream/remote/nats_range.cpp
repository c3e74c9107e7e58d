#include "remote/nats_range.h"

#include <fmt/format.h>

#include <algorithm>

#include "calendar.h"
#include "crc32c.h"
#include "number.h"
#include "sealed_line.h"

namespace daystream::remote {

namespace {

constexpr const char* kFormatHeader = "Ds-Format";
constexpr const char* kId = "Ds-Id";
constexpr const char* kBegin = "Ds-Off";
constexpr const char* kLength = "Ds-Len";
constexpr const char* kBefore = "Ds-Prev";
constexpr const char* kAfter = "Ds-Crc";
constexpr const char* kDurable = "Ds-Durable";
constexpr const char* kManifestSum = "Ds-Manifest";
constexpr const char* kDayBefore = "Ds-Before";
constexpr const char* kFirstDay = "Ds-First";
constexpr const char* kFormatValue = "1";

std::string header(const NatsMessage& message, const char* name) {
  const auto found = message.headers.find(name);
  return found == message.headers.end() ? "" : found->second;
}

std::optional<std::int64_t> day_of_token(std::string_view token) {
  if (token.size() != 8) return std::nullopt;
  return parse_day(
      fmt::format("{}-{}-{}", token.substr(0, 4), token.substr(4, 2), token.substr(6)));
}

// As 20261121/4711.
std::optional<NatsRange::DayEnd> parse_day_end(std::string_view text) {
  const auto slash = std::min(text.find('/'), text.size());
  const auto day = day_of_token(text.substr(0, slash));
  const auto size = parse_number<std::uint64_t>(text.substr(std::min(slash + 1, text.size())));
  if (!day || !size) return std::nullopt;
  return NatsRange::DayEnd{*day, *size};
}

// A sealed line without what it is padded with, which a header may lose.
std::string without_padding(std::string line) {
  line.erase(line.find_last_not_of(" \n") + 1);
  return line;
}
std::string padded(std::string line) {
  line.resize(std::max(line.size(), kSealedLineSize - 1), ' ');
  return line + "\n";
}

}  // namespace

std::string stream_id_of(const Manifest& manifest) {
  return fmt::format("{}/{}/{}", manifest.system_identifier, manifest.id, manifest.created);
}

std::string day_token(std::int64_t day) {
  std::string text = day_text(day);
  text.erase(std::remove(text.begin(), text.end(), '-'), text.end());
  return text;
}

std::optional<std::int64_t> day_of_subject(std::string_view subject) {
  return day_of_token(subject.substr(subject.rfind('.') + 1));
}

NatsLink::Headers NatsRange::headers() const {
  NatsLink::Headers all = {{kFormatHeader, kFormatValue},
                           {kId, stream_id},
                           {kBegin, std::to_string(begin)},
                           {kLength, std::to_string(end - begin)},
                           {kBefore, crc_text(sum_before)},
                           {kAfter, crc_text(sum_after)},
                           {kDurable, without_padding(durable.text())},
                           {kManifestSum, crc_text(manifest_sum)}};
  if (before) {
    all.emplace_back(kDayBefore, fmt::format("{}/{}", day_token(before->day), before->size_bytes));
  }
  return all;
}

bool is_range(const NatsMessage& message) {
  return day_of_subject(message.subject).has_value() && message.headers.contains(kFormatHeader);
}

std::optional<NatsRange> read_range(const NatsMessage& message, std::string& why) {
  const auto bad = [&](const char* text) {
    why = fmt::format("message {}: {}", message.sequence, text);
    return std::nullopt;
  };
  if (header(message, kFormatHeader) != kFormatValue) return bad("it is of no format that we know");
  const auto day = day_of_subject(message.subject);
  const auto begin = parse_number<std::uint64_t>(header(message, kBegin));
  const auto length = parse_number<std::uint64_t>(header(message, kLength));
  const auto before = parse_crc(header(message, kBefore));
  const auto after = parse_crc(header(message, kAfter));
  const auto durable = Durable::parse(padded(header(message, kDurable)));
  const auto manifest = parse_crc(header(message, kManifestSum));
  const std::string day_before = header(message, kDayBefore);
  const auto ended = parse_day_end(day_before);
  if (!day || !begin || !length || !before || !after || !durable || !manifest ||
      ended.has_value() == day_before.empty()) {
    return bad("its headers are not whole");
  }
  NatsRange range;
  range.stream_id = header(message, kId);
  range.day = *day;
  range.begin = *begin;
  range.end = *begin + *length;
  range.sum_before = *before;
  range.sum_after = *after;
  range.durable = *durable;
  range.manifest_sum = *manifest;
  range.before = ended;
  if (message.data.size() != *length) return bad("it has another length than it says");
  if (*length == 0) return bad("it is empty");
  if (extend_crc(*before, message.data) != *after) return bad("its bytes do not have its sum");
  const bool in_day = day_number(durable->position.c) == *day && durable->size_bytes <= range.end;
  if (!in_day) return bad("what it says of the lines in it cannot be");
  return range;
}

std::uint32_t NatsManifest::sum() const {
  return extend_crc(0, text);
}

NatsLink::Headers NatsManifest::headers() const {
  NatsLink::Headers all = {
      {kFormatHeader, kFormatValue}, {kId, stream_id}, {kAfter, crc_text(sum())}};
  if (first_day) all.emplace_back(kFirstDay, day_token(*first_day));
  return all;
}

std::optional<NatsManifest> read_manifest(const NatsMessage& message) {
  const std::string first = header(message, kFirstDay);
  NatsManifest manifest{header(message, kId), message.data, day_of_token(first)};
  const bool is_whole = header(message, kFormatHeader) == kFormatValue &&
                        header(message, kAfter) == crc_text(manifest.sum()) &&
                        manifest.first_day.has_value() == !first.empty();
  if (!is_whole) return std::nullopt;
  return manifest;
}

}  // namespace daystream::remote
