#include "support/stream_checker.h"

#include <zstd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>
#include <memory>
#include <stdexcept>

#include "support/temp_dir.h"

namespace support {

namespace fs = std::filesystem;

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

// What breaks a rule inside one line; check_stream adds where.
struct Broken : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Takes "key TAB value TAB" off the front of `rest`.
std::string_view take_pair(std::string_view& rest, std::string_view key) {
  if (!rest.starts_with(key) || rest.substr(key.size(), 1) != "\t") {
    throw Broken{"expected key " + std::string(key)};
  }
  rest.remove_prefix(key.size() + 1);
  const std::size_t tab = rest.find('\t');
  if (tab == std::string_view::npos) throw Broken{"nothing after " + std::string(key)};
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
    if (++i == raw.size()) throw Broken{"a backslash at the end of a value"};
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
        if (!byte || i + 2 >= raw.size()) throw Broken{"half of a \\xHH"};
        out += static_cast<char>(*byte);
        i += 2;
        break;
      }
      default:
        throw Broken{std::string("unknown escape \\") + raw[i]};
    }
  }
  return out;
}

class Checker {
 public:
  explicit Checker(StreamContent& out) : out_(out) {}

  void begin_file(const std::string& name) {
    file_ = name;
    first_line_ = true;
  }

  // `whole` is the line with its newline.
  void line(std::string_view whole, std::uint64_t offset) {
    std::string_view rest = whole.substr(0, whole.size() - 1);
    const auto c = number<std::int64_t>(take_pair(rest, "_c"));
    const auto s = number<std::uint64_t>(take_pair(rest, "_s"));
    if (!c || !s) throw Broken{"_c or _s is not a number"};
    check_position(*c, *s);

    std::optional<std::uint32_t> stored_crc;
    std::size_t crc_begin = 0, crc_size = 0;
    if (rest.starts_with("_crc\t")) {
      crc_begin = static_cast<std::size_t>(rest.data() - whole.data());
      const std::string_view hex = take_pair(rest, "_crc");
      crc_size = static_cast<std::size_t>(rest.data() - whole.data()) - crc_begin;
      stored_crc = number<std::uint32_t>(hex, 16);
      if (!stored_crc || hex.size() != 8) throw Broken{"_crc is not eight hexadecimal digits"};
    }
    const std::optional<std::string> action = stream_key(rest, "_action");
    if (!action) throw Broken{"a line without _action"};
    if (first_line_ && *action != "mark") throw Broken{"a day that does not begin with a mark"};
    if (out_.line_count == 0) {  // older days may have been deleted: it says what it continues
      if (const auto previous = stream_key(rest, "_prev")) {
        crc_ = number<std::uint32_t>(*previous, 16).value_or(0);
      }
    }
    first_line_ = false;

    const bool ends =
        *action == "commit" || *action == "mark" || *action == "abort" || *action == "gap";
    if (ends != stored_crc.has_value()) throw Broken{"_crc where it does not belong or missing"};
    if (ends) {
      crc_ = crc32c(crc_, whole.substr(0, crc_begin));
      crc_ = crc32c(crc_, whole.substr(crc_begin + crc_size));
      if (crc_ != *stored_crc) throw Broken{"the CRC chain breaks"};
    } else {
      crc_ = crc32c(crc_, whole);
    }
    ++out_.line_count;
    if (!ends) {
      row(rest, *c);
    } else {
      end(rest, *action, *c, *s, offset + whole.size());
    }
  }

  bool in_transaction() const { return open_; }

 private:
  void check_position(std::int64_t c, std::uint64_t s) {
    const bool same_second = any_ && c == c_;
    if (any_ && c < c_) throw Broken{"_c goes back"};
    if (same_second && s != s_ + 1) throw Broken{"_s is not the next one"};
    if (!same_second && s != 0) throw Broken{"a second that does not begin with _s 0"};
    if (open_ && c != c_) throw Broken{"a transaction that straddles a second"};
    if (day_of(c) + ".tsv" != file_) throw Broken{"a line of another day"};
    any_ = true;
    c_ = c;
    s_ = s;
  }

  void row(std::string_view rest, std::int64_t c) {
    const std::optional<std::string> xid = stream_key(rest, "_xid");
    if (!xid) throw Broken{"a change without _xid"};
    if (!open_) {
      open_ = true;
      current_ = {};
      current_.xid = *xid;
      current_.c = c;
    } else if (*xid != current_.xid) {
      throw Broken{"a change of transaction " + *xid + " inside transaction " + current_.xid};
    }
    current_.lines.emplace_back(rest);
  }

  void end(std::string_view rest, const std::string& action, std::int64_t c, std::uint64_t s,
           std::uint64_t end_offset) {
    StreamTransaction done;
    if (action == "abort") {
      const std::optional<std::string> xid = stream_key(rest, "_xid");
      if (!open_) throw Broken{"an abort of nothing"};
      if (xid != current_.xid) throw Broken{"an abort of another transaction"};
      open_ = false;
      ++out_.abort_count;
      return;
    }
    const std::optional<std::string> lsn = stream_key(rest, "_lsn");
    if (!lsn) throw Broken{action + " without _lsn"};
    done.lsn = parse_lsn(*lsn);
    if (const auto next = stream_key(rest, "_next")) done.next = number<std::uint64_t>(*next);
    if (action == "commit") {
      const std::optional<std::string> xid = stream_key(rest, "_xid");
      if (!open_) throw Broken{"a commit of nothing"};
      if (xid != current_.xid) throw Broken{"a commit of another transaction"};
      if (done.lsn <= lsn_) throw Broken{"commit " + *lsn + " is not past " + lsn_text(lsn_)};
      if (!done.next) throw Broken{"a commit without _next"};
      if (!stream_key(rest, "_time")) throw Broken{"a commit without _time"};
      done.xid = current_.xid;
      done.lines = std::move(current_.lines);
      open_ = false;
    } else {
      if (open_) throw Broken{"a " + action + " inside a transaction"};
      // After a gap the new slot's first mark may be anywhere.
      if (done.lsn < lsn_ && !after_gap_) {
        throw Broken{action + " " + *lsn + " is behind " + lsn_text(lsn_)};
      }
      done.kind = action == "gap" ? StreamTransaction::Kind::Gap : StreamTransaction::Kind::Mark;
    }
    if (after_gap_ && action != "mark") throw Broken{"a gap that no mark follows"};
    after_gap_ = action == "gap";
    lsn_ = done.lsn;
    done.c = c;
    done.s = s;
    done.file = file_;
    done.end_offset = end_offset;
    out_.transactions.push_back(std::move(done));
  }

  StreamContent& out_;
  std::string file_;
  bool first_line_ = false;
  bool any_ = false;
  std::int64_t c_ = 0;
  std::uint64_t s_ = 0;
  std::uint64_t lsn_ = 0;
  std::uint32_t crc_ = 0;
  bool open_ = false;
  bool after_gap_ = false;
  StreamTransaction current_;
};

constexpr std::string_view kPackedSuffix = ".zst";

bool is_day_file(const std::string& name) {
  return name.size() == 14 && name.ends_with(".tsv") && name[4] == '-' && name[7] == '-';
}

// All frames of a compressed file, as `zstd -dc` gives them.
std::string decompressed(const fs::path& path) {
  const std::string packed = read_file(path);
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(),
                                                                     ZSTD_freeDCtx);
  std::string text;
  std::string block(ZSTD_DStreamOutSize(), '\0');
  ZSTD_inBuffer in{packed.data(), packed.size(), 0};
  std::size_t left = 0;
  while (in.pos < in.size) {
    ZSTD_outBuffer out{block.data(), block.size(), 0};
    left = ZSTD_decompressStream(context.get(), &out, &in);
    if (ZSTD_isError(left) != 0) {
      throw std::runtime_error(path.string() + ": " + ZSTD_getErrorName(left));
    }
    text.append(block, 0, out.pos);
  }
  if (left != 0) throw std::runtime_error(path.string() + ": ends inside a frame");
  return text;
}

std::vector<std::string> day_files(const fs::path& directory, const StreamCheckOptions& options) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    std::string name = entry.path().filename();
    if (name.ends_with(kPackedSuffix)) name.resize(name.size() - kPackedSuffix.size());
    const bool named =
        options.sizes.empty() ||
        std::any_of(options.sizes.begin(), options.sizes.end(),
                    [&](const auto& size) { return size.first == name && size.second > 0; });
    if (is_day_file(name) && named) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::string content_of(const fs::path& path, const StreamCheckOptions& options) {
  const fs::path packed = path.string() + std::string(kPackedSuffix);
  std::string content = fs::exists(packed) ? decompressed(packed) : read_file(path);
  for (const auto& [name, size] : options.sizes) {
    if (path.filename() == name && content.size() > size) content.resize(size);
  }
  return content;
}

}  // namespace

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
    if (tab == std::string_view::npos) throw Broken{"a key without a value"};
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

std::string StreamViolation::text() const {
  return file + " at " + std::to_string(offset) + ": " + what;
}

std::uint64_t StreamContent::last_lsn() const {
  return transactions.empty() ? 0 : transactions.back().lsn;
}

std::vector<const StreamTransaction*> StreamContent::commits() const {
  std::vector<const StreamTransaction*> out;
  for (const StreamTransaction& transaction : transactions) {
    if (transaction.kind == StreamTransaction::Kind::Commit) out.push_back(&transaction);
  }
  return out;
}

StreamContent check_stream(const fs::path& directory, const StreamCheckOptions& options) {
  StreamContent out;
  Checker checker(out);
  const std::vector<std::string> names = day_files(directory, options);
  for (const std::string& name : names) {
    const bool last = name == names.back();
    const std::string content = content_of(directory / name, options);
    std::size_t offset = 0;
    try {
      if (checker.in_transaction()) throw Broken{"a transaction that straddles a day"};
      checker.begin_file(name);
      while (offset < content.size()) {
        const std::size_t newline = content.find('\n', offset);
        if (newline == std::string::npos) {
          if (!last || !options.live) throw Broken{"half a line"};
          out.unfinished = true;
          return out;
        }
        checker.line(std::string_view(content).substr(offset, newline + 1 - offset), offset);
        offset = newline + 1;
      }
    } catch (const std::runtime_error& error) {
      out.violation = StreamViolation{name, offset, error.what()};
      return out;
    }
  }
  out.unfinished = checker.in_transaction();
  if (out.unfinished && !options.live) {
    out.violation = StreamViolation{names.back(), 0, "ends inside a transaction"};
  }
  return out;
}

}  // namespace support
