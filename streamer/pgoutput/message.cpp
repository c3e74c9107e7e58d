#include "pgoutput/message.h"

#include <fmt/format.h>

#include "daystream/error.h"

namespace deltastream::pgoutput {

using daystream::Lsn;
using daystream::ProtocolError;

namespace {

// PostgreSQL counts from 2000-01-01.
constexpr Microseconds kEpochDifferenceUs = 946'684'800LL * 1'000'000;
// No clock shows a time so far away; sums of nearer ones are numbers.
constexpr Microseconds kFarthestUs = Microseconds{1} << 60;

// What is left of a message. Whatever is asked for beyond its end is an error.
class Bytes {
 public:
  explicit Bytes(std::string_view message) : kind_(message.at(0)), rest_(message.substr(1)) {}
  Bytes(std::string_view message, Part part) : Bytes(message) {
    if (part == Part::Streamed) (void)number<std::uint32_t>();
  }

  template <typename Integer>
  Integer number() {
    std::uint64_t value = 0;
    for (const char c : take(sizeof(Integer))) value = value << 8 | static_cast<unsigned char>(c);
    return static_cast<Integer>(value);
  }
  char letter() { return take(1)[0]; }
  Lsn lsn() { return {number<std::uint64_t>()}; }
  std::string_view take(std::size_t size) {
    if (size > rest_.size()) cut_short();
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  std::string_view string() {
    const std::size_t end = rest_.find('\0');
    if (end == std::string_view::npos) cut_short();
    const std::string_view taken = take(end);
    rest_.remove_prefix(1);
    return taken;
  }
  Microseconds time_us() {
    const auto us = number<Microseconds>();
    if (us < -kFarthestUs || us > kFarthestUs) wrong(fmt::format("{} us after 2000", us), "time");
    return us + kEpochDifferenceUs;
  }
  // A number of what follows, each of at least `least` bytes.
  std::size_t count(std::int64_t value, std::size_t least) {
    if (value < 0 || static_cast<std::size_t>(value) > rest_.size() / least) cut_short();
    return static_cast<std::size_t>(value);
  }
  void end() const {
    if (!rest_.empty()) {
      throw ProtocolError(fmt::format(
          "a message \"{}\" of pgoutput goes on after its end, by {} bytes", kind_, rest_.size()));
    }
  }
  [[noreturn]] void wrong(const std::string& what, const char* wanted) const {
    throw ProtocolError(
        fmt::format("a message \"{}\" of pgoutput has {}, which is no {}", kind_, what, wanted));
  }

 private:
  [[noreturn]] void cut_short() const {
    throw ProtocolError(fmt::format("a message \"{}\" of pgoutput ends before its end", kind_));
  }

  char kind_;
  std::string_view rest_;
};

std::string shown(char letter) {
  return fmt::format("a letter {:#04x}", static_cast<unsigned char>(letter));
}

void read_tuple(Bytes& bytes, Tuple& out) {
  const std::size_t count = bytes.count(bytes.number<std::int16_t>(), 1);
  out.resize(count);
  for (Datum& datum : out) {
    const char letter = bytes.letter();
    datum.value = static_cast<Value>(letter);
    datum.text = {};
    switch (letter) {
      case 'n':
      case 'u':
        break;
      case 't':
        datum.text = bytes.take(bytes.count(bytes.number<std::int32_t>(), 1));
        break;
      default:  // 'b' among them: binary was not asked for
        bytes.wrong(shown(letter), "kind of value");
    }
  }
}

// What C and c have in common.
void read_commit(Bytes& bytes, Commit& out) {
  (void)bytes.number<std::uint8_t>();  // flags, none of which there are
  (void)bytes.lsn();                   // of the commit record's start
  out.end_lsn = bytes.lsn();
  out.time_us = bytes.time_us();
  bytes.end();
}

}  // namespace

Kind kind_of(std::string_view message) {
  constexpr std::string_view kLetters = "BCORYIUDTMSEcA";
  if (message.empty()) throw ProtocolError("an empty message of pgoutput");
  if (kLetters.find(message[0]) == std::string_view::npos) {
    throw ProtocolError(fmt::format("a message of pgoutput begins with {}, which we do not know",
                                    shown(message[0])));
  }
  return static_cast<Kind>(message[0]);
}

bool is_change(Kind kind) noexcept {
  switch (kind) {
    case Kind::Relation:
    case Kind::Type:
    case Kind::Insert:
    case Kind::Update:
    case Kind::Delete:
    case Kind::Truncate:
    case Kind::Message:
      return true;
    default:
      return false;
  }
}

std::uint32_t parse_streamed_xid(std::string_view message) {
  return Bytes(message).number<std::uint32_t>();
}

Begin parse_begin(std::string_view message) {
  Bytes bytes(message);
  Begin out;
  out.lsn = bytes.lsn();
  (void)bytes.time_us();  // C has it too
  out.xid = bytes.number<std::uint32_t>();
  bytes.end();
  return out;
}

Commit parse_commit(std::string_view message) {
  Bytes bytes(message);
  Commit out;
  read_commit(bytes, out);
  return out;
}

StreamStart parse_stream_start(std::string_view message) {
  Bytes bytes(message);
  const StreamStart out{bytes.number<std::uint32_t>()};
  (void)bytes.number<std::uint8_t>();  // whether it is the first piece
  bytes.end();
  return out;
}

Commit parse_stream_commit(std::string_view message) {
  Bytes bytes(message);
  Commit out;
  out.xid = bytes.number<std::uint32_t>();
  read_commit(bytes, out);
  return out;
}

StreamAbort parse_stream_abort(std::string_view message) {
  Bytes bytes(message);
  StreamAbort out;
  out.xid = bytes.number<std::uint32_t>();
  out.sub = bytes.number<std::uint32_t>();
  return out;  // a server that was asked for more says when, too
}

Relation parse_relation(std::string_view message, Part part) {
  Bytes bytes(message, part);
  Relation out;
  out.oid = bytes.number<std::uint32_t>();
  out.schema = bytes.string();
  if (out.schema.empty()) out.schema = "pg_catalog";
  out.name = bytes.string();
  out.identity = bytes.letter();
  constexpr std::size_t kLeast = 1 + 1 + 4 + 4;
  out.columns.resize(bytes.count(bytes.number<std::int16_t>(), kLeast));
  for (RelationColumn& column : out.columns) {
    column.identity = (bytes.number<std::uint8_t>() & 1U) != 0;
    column.name = bytes.string();
    column.type = bytes.number<std::uint32_t>();
    column.typmod = bytes.number<std::int32_t>();
  }
  bytes.end();
  return out;
}

void parse_row(std::string_view message, Part part, RowChange& out) {
  Bytes bytes(message, part);
  out.kind = kind_of(message);
  out.relation = bytes.number<std::uint32_t>();
  out.old = Old::None;
  out.old_row.clear();
  out.new_row.clear();
  char letter = bytes.letter();
  if (letter == 'K' || letter == 'O') {
    if (out.kind == Kind::Insert) bytes.wrong("an old row", "insert");
    out.old = letter == 'K' ? Old::Key : Old::Full;
    read_tuple(bytes, out.old_row);
    if (out.kind == Kind::Delete) return bytes.end();
    letter = bytes.letter();
  }
  if (letter != 'N' || out.kind == Kind::Delete) bytes.wrong(shown(letter), "kind of row");
  read_tuple(bytes, out.new_row);
  bytes.end();
}

Truncate parse_truncate(std::string_view message, Part part) {
  Bytes bytes(message, part);
  Truncate out;
  const auto count = bytes.number<std::int32_t>();
  (void)bytes.number<std::uint8_t>();  // CASCADE, RESTART IDENTITY
  out.relations.resize(bytes.count(count, 4));
  for (std::uint32_t& relation : out.relations) relation = bytes.number<std::uint32_t>();
  bytes.end();
  return out;
}

void check_skipped(std::string_view message, Part part) {
  const Kind kind = kind_of(message);
  Bytes bytes(message, is_change(kind) ? part : Part::Whole);
  switch (kind) {
    case Kind::Type:
      (void)bytes.number<std::uint32_t>();
      (void)bytes.string();
      (void)bytes.string();
      break;
    case Kind::Origin:
      (void)bytes.lsn();
      (void)bytes.string();
      break;
    case Kind::Message:
      (void)bytes.number<std::uint8_t>();
      (void)bytes.lsn();
      (void)bytes.string();
      (void)bytes.take(bytes.count(bytes.number<std::int32_t>(), 1));
      break;
    default:
      break;
  }
  bytes.end();
}

}  // namespace deltastream::pgoutput
