#include "daystream/line.h"

#include <fmt/format.h>

#include <array>

#include "daystream/error.h"
#include "grammar/escape.h"
#include "number.h"

namespace daystream {

namespace {

constexpr std::array<std::string_view, 14> kActionNames = {
    "insert",  "update",   "delete",  "replace", "truncate", "schema", "drop",
    "rewrite", "oversize", "message", "commit",  "mark",     "abort",  "gap"};

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Quotes a value in a message. A long one is cut, because it would hide what is said about it.
std::string shown(std::string_view text) {
  constexpr std::size_t kMost = 60;
  if (text.size() <= kMost) return std::string(text);
  return std::string(text.substr(0, kMost)) + "…";
}

[[noreturn]] void reject(std::string_view key, std::string_view value, const char* wanted) {
  throw ProtocolError(
      fmt::format("invalid value \"{}\" of key \"{}\" in a line: {}", shown(value), key, wanted));
}

template <typename Integer>
Integer number(std::string_view key, std::string_view value) {
  const auto parsed = parse_number<Integer>(value);
  if (!parsed) reject(key, value, "not a number in range");
  return *parsed;
}

// SECONDS.MICROS, six digits after the point. A server's clock before 1970 gives a sign.
std::int64_t time_us(std::string_view key, std::string_view value) {
  constexpr const char* kWanted = "not SECONDS.MICROS";
  const auto point = value.find('.');
  if (point == std::string_view::npos || value.size() - point != 7) reject(key, value, kWanted);
  const bool negative = value.starts_with('-');
  const auto seconds = parse_number<std::int64_t>(value.substr(negative, point - negative));
  std::int64_t micros = 0;
  for (const char c : value.substr(point + 1)) {
    if (c < '0' || c > '9') reject(key, value, kWanted);
    micros = micros * 10 + (c - '0');
  }
  constexpr std::int64_t kMostSeconds = INT64_MAX / 1'000'000 - 1;
  if (!seconds || *seconds < 0 || *seconds > kMostSeconds) reject(key, value, kWanted);
  const std::int64_t magnitude = *seconds * 1'000'000 + micros;
  return negative ? -magnitude : magnitude;
}

}  // namespace

void escape_to(std::string& out, std::string_view text) {
  // Most values are short: measuring them first, and filling the room, costs more than a copy.
  constexpr std::size_t kShort = 64;
  if (text.size() <= kShort) {
    char buffer[grammar::kEscapeGrowth * kShort + grammar::kEscapeSlack];
    out.append(buffer, grammar::escape_into(buffer, text));
    return;
  }
  const std::size_t before = out.size();
  out.resize(before + grammar::escaped_size(text) + grammar::kEscapeSlack);
  out.resize(before + grammar::escape_into(out.data() + before, text));
}

void unescape_to(std::string& out, std::string_view raw) {
  for (;;) {
    const auto backslash = raw.find('\\');
    out.append(raw.substr(0, backslash));
    if (backslash == std::string_view::npos) return;
    raw.remove_prefix(backslash);
    std::size_t used = 2;
    switch (raw.size() > 1 ? raw[1] : '\0') {
      case 't':
        out += '\t';
        break;
      case 'n':
        out += '\n';
        break;
      case 'r':
        out += '\r';
        break;
      case '\\':
        out += '\\';
        break;
      case 'x':
        if (raw.size() >= 4 && hex_value(raw[2]) >= 0 && hex_value(raw[3]) >= 0) {
          out += static_cast<char>(hex_value(raw[2]) << 4 | hex_value(raw[3]));
          used = 4;
          break;
        }
        [[fallthrough]];
      default:
        throw ProtocolError(fmt::format("invalid escape \"{}\" in a line", raw.substr(0, 4)));
    }
    raw.remove_prefix(used);
  }
}

std::string unescape(std::string_view raw) {
  std::string out;
  out.reserve(raw.size());
  unescape_to(out, raw);
  return out;
}

std::string_view action_name(Action action) noexcept {
  return kActionNames[static_cast<std::size_t>(action)];
}

std::optional<Action> action_named(std::string_view name) noexcept {
  for (std::size_t i = 0; i < kActionNames.size(); ++i) {
    if (kActionNames[i] == name) return static_cast<Action>(i);
  }
  return std::nullopt;
}

bool FieldCursor::next(std::string_view& key, std::string_view& value) {
  if (rest_.data() == nullptr || rest_.empty()) return false;
  const auto tab = rest_.find('\t');
  if (tab == std::string_view::npos) {
    throw ProtocolError(fmt::format("key \"{}\" of a line has no value", shown(rest_)));
  }
  key = rest_.substr(0, tab);
  rest_.remove_prefix(tab + 1);
  const auto end = rest_.find('\t');
  value = rest_.substr(0, end);
  if (end == std::string_view::npos) {
    rest_ = {};
    return true;
  }
  rest_.remove_prefix(end + 1);
  // A tab at the very end begins a pair that is empty.
  if (rest_.empty()) throw ProtocolError("a line ends in a tab");
  return true;
}

// NOLINTNEXTLINE(readability-function-size): one branch a key, the most frequent first
Change parse_change(std::string_view body) {
  Change change;
  FieldCursor cursor(body);
  std::string_view key;
  std::string_view value;
  while (cursor.next(key, value)) {
    if (key == "_action") {
      const auto action = action_named(value);
      if (!action) reject(key, value, "not an action this version knows");
      change.action = *action;
      change.leading_fields = body.substr(0, static_cast<std::size_t>(key.data() - body.data()));
      if (!change.leading_fields.empty()) change.leading_fields.remove_suffix(1);
      change.columns = cursor.rest();
      return change;
    }
    if (key == "_table") {
      change.table = value;
    } else if (key == "_xid") {
      change.xid = number<std::uint32_t>(key, value);
    } else if (key == "_lsn") {
      const auto lsn = Lsn::parse(value);
      if (!lsn) reject(key, value, "not an LSN");
      change.lsn = *lsn;
    } else if (key == "_next") {
      change.next = number<std::uint64_t>(key, value);
    } else if (key == "_time") {
      change.time_us = time_us(key, value);
    } else if (key == "_identity") {
      change.identity = value;
    } else if (key == "_oid") {
      change.oid = number<std::uint32_t>(key, value);
    } else if (key == "_root") {
      change.root = number<std::uint32_t>(key, value);
    } else if (key == "_pkey") {
      change.primary_key = value;
    } else if (key == "_ikey") {
      change.identity_key = value;
    } else if (key == "_timeline") {
      change.timeline = number<std::uint32_t>(key, value);
    } else if (key == "_crc") {
      change.crc = parse_crc(value);
      if (!change.crc) reject(key, value, "not eight hexadecimal digits");
    }
  }
  throw ProtocolError(
      fmt::format("not a deltaflood line, it has no \"_action\": \"{}\"", shown(body)));
}

std::uint64_t widen_xid(std::uint32_t xid, std::uint64_t next) noexcept {
  // The largest 64-bit id with these lower bits that is below `next`.
  const std::uint64_t epoch = next >> 32 << 32;
  const std::uint64_t same_epoch = epoch | xid;
  if (same_epoch < next || epoch == 0) return same_epoch;
  return same_epoch - (std::uint64_t{1} << 32);
}

}  // namespace daystream
