#include "serve/line_filter.h"

#include <fmt/format.h>

#include <utility>

#include "crc32c.h"
#include "daystream/error.h"
#include "daystream/line.h"
#include "line_prefix.h"
#include "number.h"

namespace daystream::serve {

namespace {

// The beginning of a line, which says whose it is: its prefix, `_table` (two names of 63
// characters, each of up to four bytes that may be escaped), `_xid`, `_oid`.
constexpr std::size_t kHead = 4096;
constexpr std::string_view kTableKey = "_table\t";

[[noreturn]] void no_line(Position after) {
  throw Error(fmt::format("what follows {} is not a line of a daystream", after.text()),
              "\"daystream verify\" there says where it is damaged");
}

}  // namespace

// The chain begins with a value that says nothing: that of the files would reveal lines that are
// left out, and who knows all but a few digits of one could then find it by trying.
LineFilter::LineFilter(TableFilter tables, Position after, std::optional<std::uint32_t> chain,
                       bool in_group)
    : tables_(std::move(tables)),
      position_(after),
      chain_(chain.value_or(0)),
      sent_in_group_(in_group) {}

void LineFilter::feed(std::string_view bytes, std::string& out) {
  while (!bytes.empty()) {
    const auto newline = bytes.find('\n');
    const bool whole = newline != std::string_view::npos;
    const std::string_view part = bytes.substr(0, whole ? newline + 1 : newline);
    bytes.remove_prefix(part.size());
    if (line_ == Line::Unknown) {
      if (held_.empty()) {
        line_ = begin_line(part, whole, out);
        if (line_ == Line::Unknown && !whole) held_ = part;
      } else {
        held_ += part;
        line_ = begin_line(held_, whole, out);
        if (line_ != Line::Unknown || whole) held_.clear();
      }
    } else if (line_ == Line::Taken) {
      take(part, out);
    }
    if (whole) line_ = Line::Unknown;
  }
}

// Looks at as much of a line as there is. Unknown: more is needed, or (an end line) all is done.
LineFilter::Line LineFilter::begin_line(std::string_view head, bool whole, std::string& out) {
  if (!whole && head.size() < kHead) return Line::Unknown;
  const auto prefix = parse_prefix(head);
  if (!prefix) no_line(position_);
  if (head.substr(prefix->size).starts_with(kCrcKey)) {
    if (!whole) return Line::Unknown;
    position_ = prefix->position;
    take_end(head, prefix->size, out);
    return Line::Unknown;
  }
  position_ = prefix->position;
  return begin_row(head, prefix->size, out);
}

LineFilter::Line LineFilter::begin_row(std::string_view head, std::size_t body, std::string& out) {
  std::string_view fields = head.substr(body);
  if (!fields.starts_with(kTableKey)) return Line::LeftOut;
  const auto tab = fields.find('\t', kTableKey.size());
  if (tab == std::string_view::npos) no_line(position_);
  const std::string_view table = fields.substr(kTableKey.size(), tab - kTableKey.size());
  if (tables_.takes(table)) {
    take(head, out);
    return Line::Taken;
  }
  // What concerns a whole table, `schema` and `drop`, has an `_oid` right after `_xid`; what
  // concerns a whole partition of a table a `_root` there or after that.
  FieldCursor cursor(fields.substr(tab + 1));
  std::string_view key;
  std::string_view xid;
  std::string_view value;
  if (!cursor.next(key, xid) || key != "_xid" || !cursor.next(key, value)) return Line::LeftOut;
  if (key != "_oid" && key != "_root") return Line::LeftOut;
  if (tables_.may_name(table)) {
    take(head, out);
    return Line::Taken;
  }
  std::string line(head.substr(0, body));
  line += fmt::format("_xid\t{}\t{}\t{}", xid, key, value);
  if (key == "_oid" && cursor.next(key, value) && key == "_root") {
    line += fmt::format("\t_root\t{}", value);
  }
  take(line + "\t_action\tdrop\n", out);
  return Line::LeftOut;
}

void LineFilter::take(std::string_view bytes, std::string& out) {
  waiting_.clear();
  sent_in_group_ = true;
  chain_ = extend_crc(chain_, bytes);
  out += bytes;
}

void LineFilter::take_end(std::string_view line, std::size_t body, std::string& out) {
  if (line.size() < body + kCrcFieldSize + 1) no_line(position_);
  const std::string_view fields = line.substr(body + kCrcFieldSize);
  const Action action = parse_change(fields.substr(0, fields.size() - 1)).action;
  const bool is_empty = !std::exchange(sent_in_group_, false);
  if (is_empty && action == Action::Commit) {
    waiting_ = line;
  } else if (!is_empty || action != Action::Abort) {
    waiting_.clear();
    send_end(line, body, out);
  }
}

void LineFilter::send_end(std::string_view line, std::size_t body, std::string& out) {
  std::string fields(line.substr(body + kCrcFieldSize));
  if (parse_change(std::string_view(fields).substr(0, fields.size() - 1)).action == Action::Mark) {
    fields = mark_of(fields);
  }
  chain_ = extend_crc(extend_crc(chain_, line.substr(0, body)), fields);
  out += line.substr(0, body);
  out += fmt::format("{}{}\t", kCrcKey, crc_text(chain_));
  out += fields;
}

// A mark says that lines are missing, which tables are left, and continues the chain that is sent.
std::string LineFilter::mark_of(std::string_view body) {
  std::string text;
  escape_to(text, tables_.text());
  const std::string_view fields = body.substr(0, body.size() - 1);
  std::string mark;
  FieldCursor cursor(fields);
  std::string_view key;
  std::string_view value;
  bool in_head = true;
  const auto put = [&mark](std::string_view name, std::string_view what) {
    mark += fmt::format("{}{}\t{}", mark.empty() ? "" : "\t", name, what);
  };
  while (cursor.next(key, value)) {
    if (in_head && key == "_prev") {
      put(key, crc_text(chain_));
    } else if (in_head && key == "_action") {
      in_head = false;
      put("_filtered", text);
      put(key, value);
    } else if (!in_head && key == "tables") {
      std::string held;
      escape_to(held, narrowed_holding(unescape(value), tables_.text()));
      put(key, held);
    } else if (!in_head) {
      const auto told = told_option(unescape(key), unescape(value), tables_.granted());
      std::string option;
      if (told) escape_to(option, *told);
      if (told) put(key, option);
    } else {
      put(key, value);
    }
  }
  return mark + "\n";
}

void LineFilter::end(std::string& out) {
  if (waiting_.empty()) return;
  const std::string line = std::exchange(waiting_, {});
  const auto prefix = parse_prefix(line);
  if (!prefix) no_line(position_);
  send_end(line, prefix->size, out);
}

}  // namespace daystream::serve
