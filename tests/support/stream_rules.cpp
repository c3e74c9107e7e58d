#include "support/stream_rules.h"

#include <array>
#include <charconv>
#include <ctime>

namespace support {

namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78U : 0U);
    table[i] = crc;
  }
  return table;
}
constexpr std::array<std::uint32_t, 256> kTable = make_table();

template <typename Number>
std::optional<Number> number(std::string_view text, int base = 10) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Takes "key TAB value TAB" off the front of `rest`.
std::string_view take_pair(std::string_view& rest, std::string_view key) {
  if (!rest.starts_with(key) || rest.substr(key.size(), 1) != "\t") {
    throw BrokenRule{"expected key " + std::string(key)};
  }
  rest.remove_prefix(key.size() + 1);
  const std::size_t tab = rest.find('\t');
  if (tab == std::string_view::npos) throw BrokenRule{"nothing after " + std::string(key)};
  const std::string_view value = rest.substr(0, tab);
  rest.remove_prefix(tab + 1);
  return value;
}

std::string day_of(std::int64_t seconds) {
  const std::time_t time = seconds;
  std::tm parts{};
  gmtime_r(&time, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d", &parts);
  return text;
}

std::string unescaped(std::string_view raw) {
  if (raw == "\\N") return "\\N";
  std::string out;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\') {
      out += raw[i];
      continue;
    }
    if (++i == raw.size()) throw BrokenRule{"a backslash at the end of a value"};
    switch (raw[i]) {
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
      case 'x': {
        const auto byte = number<unsigned>(raw.substr(i + 1, 2), 16);
        if (!byte || i + 2 >= raw.size()) throw BrokenRule{"half of a \\xHH"};
        out += static_cast<char>(*byte);
        i += 2;
        break;
      }
      default:
        throw BrokenRule{std::string("unknown escape \\") + raw[i]};
    }
  }
  return out;
}

}  // namespace

void StreamRules::begin_file(const std::string& name) {
  file_ = name;
  first_line_ = true;
}

void StreamRules::line(std::string_view whole, std::uint64_t offset, StreamContent& out) {
  const bool first = !any_;
  std::string_view rest = whole.substr(0, whole.size() - 1);
  const auto c = number<std::int64_t>(take_pair(rest, "_c"));
  const auto s = number<std::uint64_t>(take_pair(rest, "_s"));
  if (!c || !s) throw BrokenRule{"_c or _s is not a number"};
  check_position(*c, *s);

  std::optional<std::uint32_t> stored_crc;
  std::size_t crc_begin = 0, crc_size = 0;
  if (rest.starts_with("_crc\t")) {
    crc_begin = static_cast<std::size_t>(rest.data() - whole.data());
    const std::string_view hex = take_pair(rest, "_crc");
    crc_size = static_cast<std::size_t>(rest.data() - whole.data()) - crc_begin;
    stored_crc = number<std::uint32_t>(hex, 16);
    if (!stored_crc || hex.size() != 8) throw BrokenRule{"_crc is not eight hexadecimal digits"};
  }
  const std::optional<std::string> action = stream_key(rest, "_action");
  if (!action) throw BrokenRule{"a line without _action"};
  if (first_line_ && *action != "mark") throw BrokenRule{"a day that does not begin with a mark"};
  if (first) {  // older days may have been deleted: it says what it continues
    if (const auto previous = stream_key(rest, "_prev")) {
      crc_ = number<std::uint32_t>(*previous, 16).value_or(0);
    }
  }
  first_line_ = false;

  const bool ends =
      *action == "commit" || *action == "mark" || *action == "abort" || *action == "gap";
  if (ends != stored_crc.has_value()) throw BrokenRule{"_crc where it does not belong or missing"};
  if (ends) {
    crc_ = crc32c(crc_, whole.substr(0, crc_begin));
    crc_ = crc32c(crc_, whole.substr(crc_begin + crc_size));
    if (crc_ != *stored_crc) throw BrokenRule{"the CRC chain breaks"};
  } else {
    crc_ = crc32c(crc_, whole);
  }
  ++out.line_count;
  if (!ends) {
    row(rest, *c);
  } else {
    StreamTransaction done;
    done.c = *c;
    done.s = *s;
    done.file = file_;
    done.end_offset = offset + whole.size();
    end(rest, *action, std::move(done), out);
  }
}

void StreamRules::check_position(std::int64_t c, std::uint64_t s) {
  const bool same_second = any_ && c == c_;
  if (any_ && c < c_) throw BrokenRule{"_c goes back"};
  if (same_second && s != s_ + 1) throw BrokenRule{"_s is not the next one"};
  if (!same_second && s != 0) throw BrokenRule{"a second that does not begin with _s 0"};
  if (open_ && c != c_) throw BrokenRule{"a transaction that straddles a second"};
  if (day_of(c) + ".tsv" != file_) throw BrokenRule{"a line of another day"};
  any_ = true;
  c_ = c;
  s_ = s;
}

void StreamRules::row(std::string_view rest, std::int64_t c) {
  const std::optional<std::string> xid = stream_key(rest, "_xid");
  if (!xid) throw BrokenRule{"a change without _xid"};
  if (!open_) {
    open_ = true;
    current_ = {};
    current_.xid = *xid;
    current_.c = c;
  } else if (*xid != current_.xid) {
    throw BrokenRule{"a change of transaction " + *xid + " inside transaction " + current_.xid};
  }
  if (!keep_ || keep_(rest)) current_.lines.emplace_back(rest);
}

// `done` has its place already.
void StreamRules::end(std::string_view rest, const std::string& action, StreamTransaction done,
                      StreamContent& out) {
  if (action == "abort") {
    const std::optional<std::string> xid = stream_key(rest, "_xid");
    if (!open_) throw BrokenRule{"an abort of nothing"};
    if (xid != current_.xid) throw BrokenRule{"an abort of another transaction"};
    open_ = false;
    ++out.abort_count;
    return;
  }
  const std::optional<std::string> lsn = stream_key(rest, "_lsn");
  if (!lsn) throw BrokenRule{action + " without _lsn"};
  done.lsn = parse_lsn(*lsn);
  if (const auto next = stream_key(rest, "_next")) done.next = number<std::uint64_t>(*next);
  if (action == "commit") {
    const std::optional<std::string> xid = stream_key(rest, "_xid");
    if (!open_) throw BrokenRule{"a commit of nothing"};
    if (xid != current_.xid) throw BrokenRule{"a commit of another transaction"};
    if (done.lsn <= lsn_) throw BrokenRule{"commit " + *lsn + " is not past " + lsn_text(lsn_)};
    if (!done.next) throw BrokenRule{"a commit without _next"};
    if (!stream_key(rest, "_time")) throw BrokenRule{"a commit without _time"};
    done.xid = current_.xid;
    done.lines = std::move(current_.lines);
    open_ = false;
  } else {
    if (open_) throw BrokenRule{"a " + action + " inside a transaction"};
    // After a gap the new slot's first mark may be anywhere.
    if (done.lsn < lsn_ && !after_gap_) {
      throw BrokenRule{action + " " + *lsn + " is behind " + lsn_text(lsn_)};
    }
    done.kind = action == "gap" ? StreamTransaction::Kind::Gap : StreamTransaction::Kind::Mark;
  }
  if (after_gap_ && action != "mark") throw BrokenRule{"a gap that no mark follows"};
  after_gap_ = action == "gap";
  lsn_ = done.lsn;
  out.transactions.push_back(std::move(done));
}

std::uint64_t parse_lsn(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto high = number<std::uint32_t>(text.substr(0, slash), 16);
  const auto low = slash == std::string_view::npos
                       ? std::optional<std::uint32_t>{}
                       : number<std::uint32_t>(text.substr(slash + 1), 16);
  if (!high || !low) throw std::runtime_error("not an LSN: " + std::string(text));
  return (std::uint64_t{*high} << 32) | *low;
}

std::string lsn_text(std::uint64_t lsn) {
  char text[32];
  std::snprintf(text, sizeof text, "%X/%X", static_cast<unsigned>(lsn >> 32),
                static_cast<unsigned>(lsn));
  return text;
}

std::uint32_t crc32c(std::uint32_t crc, std::string_view bytes) {
  crc = ~crc;
  for (const char byte : bytes) {
    crc = (crc >> 8) ^ kTable[(crc ^ static_cast<unsigned char>(byte)) & 0xFF];
  }
  return ~crc;
}

StreamFields stream_fields(std::string_view line) {
  StreamFields out;
  for (;;) {
    const std::size_t tab = line.find('\t');
    if (tab == std::string_view::npos) throw BrokenRule{"a key without a value"};
    const std::string_view key = line.substr(0, tab);
    line.remove_prefix(tab + 1);
    const std::size_t end = line.find('\t');
    out.emplace_back(unescaped(key), unescaped(line.substr(0, end)));
    if (end == std::string_view::npos) return out;
    line.remove_prefix(end + 1);
  }
}

std::optional<std::string> stream_key(std::string_view line, std::string_view key) {
  for (;;) {
    const std::size_t tab = line.find('\t');
    if (tab == std::string_view::npos) return std::nullopt;
    const std::string_view name = line.substr(0, tab);
    line.remove_prefix(tab + 1);
    const std::size_t end = line.find('\t');
    if (name == key) return unescaped(line.substr(0, end));
    if (end == std::string_view::npos || name == "_action") return std::nullopt;
    line.remove_prefix(end + 1);
  }
}

}  // namespace support
