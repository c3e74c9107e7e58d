#include "text.h"

#include "format.h"

namespace deltaflood {

namespace {

// Up to here the worst case is reserved; above, the text is measured first, so that a row near the
// limit of a message still fits.
constexpr std::size_t kMeasureAbove = 64 * 1024;

// Bytes converted at a time: bounds the memory of a conversion whatever the text's size.
constexpr std::size_t kConvertBytes = 8 * 1024;

void append_escaped(StringInfo out, bool escape, std::string_view text) {
  if (!escape) {
    append(out, text);
    return;
  }
  const std::size_t room = text.size() < kMeasureAbove ? grammar::kEscapeGrowth * text.size()
                                                       : grammar::escaped_size(text);
  reserve(out, room + grammar::kEscapeSlack);
  advance(out, grammar::escape_into(out->data + out->len, text));
}

constexpr std::size_t kHexEscape = 4;

void append_hex_escape(StringInfo out, unsigned char byte) {
  reserve(out, kHexEscape);
  const char c = static_cast<char>(byte);
  put(out, "\\x");
  format_hex(out->data + out->len, std::string_view(&c, 1));
  advance(out, 2);
}

Oid conversion_to_utf8(Encoding* encoding) {
  if (!OidIsValid(encoding->conversion)) {
    encoding->conversion = FindDefaultConversionProc(encoding->server, PG_UTF8);
    if (!OidIsValid(encoding->conversion)) {
      ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
                      errmsg("default conversion function for encoding \"%s\" to \"UTF8\" does not "
                             "exist",
                             pg_encoding_to_char(encoding->server))));
    }
  }
  return encoding->conversion;
}

// Appends, or with out == nullptr only counts, the UTF-8 form of `text`. What has none is \xHH: a
// single byte must not stop the slot forever.
std::size_t convert(StringInfo out, Encoding* encoding, std::string_view text) {
  const Oid conversion = conversion_to_utf8(encoding);
  std::size_t total = 0;
  char utf8[kConvertBytes * MAX_CONVERSION_GROWTH + 16];
  char source[kConvertBytes + 1];  // the conversion functions look at the byte after the end
  while (!text.empty()) {
    const std::size_t size = text.size() < kConvertBytes ? text.size() : kConvertBytes;
    memcpy(source, text.data(), size);
    source[size] = '\0';
    utf8[0] = '\0';
    auto used = static_cast<std::size_t>(convert_to_utf8(
        conversion, encoding->server, source, static_cast<int>(size), utf8, sizeof utf8));
    const std::string_view converted = utf8;
    if (out != nullptr) {
      append_escaped(out, encoding->escape, converted);
    } else {
      total += encoding->escape ? grammar::escaped_size(converted) : converted.size();
    }
    // The conversion stops at a character that has no UTF-8 form, or that the end of the piece
    // cuts. At the start of a piece only the first is possible.
    if (used == 0) {
      const auto character = static_cast<std::size_t>(pg_encoding_mblen(encoding->server, source));
      do {
        if (out != nullptr) append_hex_escape(out, static_cast<unsigned char>(source[used]));
        total += kHexEscape;
        ++used;
      } while (used < character && used < size && IS_HIGHBIT_SET(source[used]));
    }
    text.remove_prefix(used);
  }
  return total;
}

bool is_ascii(std::string_view text) noexcept {
  unsigned char bits = 0;
  for (const char c : text) bits |= static_cast<unsigned char>(c);
  return bits < 0x80;
}

}  // namespace

Encoding database_encoding(bool escape) {
  Encoding encoding;
  encoding.server = GetDatabaseEncoding();
  encoding.convert = encoding.server != PG_UTF8 && encoding.server != PG_SQL_ASCII;
  encoding.escape = escape;
  return encoding;
}

void append_unsigned(StringInfo out, uint64 value) {
  reserve(out, kMaxFixedText);
  advance(out, format_unsigned(out->data + out->len, value));
}

void append_int(StringInfo out, int64 value) {
  reserve(out, kMaxFixedText);
  advance(out, format_int(out->data + out->len, value));
}

void append_lsn(StringInfo out, XLogRecPtr lsn) {
  reserve(out, kMaxFixedText);
  advance(out, format_lsn(out->data + out->len, lsn));
}

void append_numbers(StringInfo out, List* numbers) {
  bool first = true;
  ListCell* cell = nullptr;
  foreach (cell, numbers) {
    if (!first) append(out, ",");
    first = false;
    append_int(out, lfirst_int(cell));
  }
}

void append_text(StringInfo out, Encoding* encoding, std::string_view text) {
  if (encoding->convert && !is_ascii(text)) {
    (void)convert(out, encoding, text);
  } else {
    append_escaped(out, encoding->escape, text);
  }
}

std::size_t text_size(Encoding* encoding, std::string_view text) {
  if (encoding->convert && !is_ascii(text)) return convert(nullptr, encoding, text);
  return encoding->escape ? grammar::escaped_size(text) : text.size();
}

void append_bytes(StringInfo out, const Encoding& encoding, std::string_view bytes) {
  while (encoding.escape) {
    const std::size_t nul = bytes.find('\0');
    if (nul == std::string_view::npos) break;
    append_escaped(out, true, bytes.substr(0, nul));
    append_hex_escape(out, 0);
    bytes.remove_prefix(nul + 1);
  }
  append_escaped(out, encoding.escape, bytes);
}

std::size_t bytes_size(const Encoding& encoding, std::string_view bytes) {
  if (!encoding.escape) return bytes.size();
  std::size_t size = grammar::escaped_size(bytes);
  for (const char c : bytes) {
    if (c == '\0') size += kHexEscape - 1;
  }
  return size;
}

}  // namespace deltaflood
