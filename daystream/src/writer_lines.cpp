// Gives a line its position, its place in a transaction, and the CRC of its group, all in memory.
#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>

#include "crc32c.h"
#include "daystream/error.h"
#include "row_copy.h"
#include "writer_impl.h"

namespace daystream {

namespace {
constexpr std::string_view kTableKey = "_table\t";
// The buffer makes room for so many bytes at once.
constexpr std::size_t kRowsAtOnce = 64 * 1024;

void append_fields(std::string& body,
                   const std::vector<std::pair<std::string, std::string>>& fields) {
  for (const auto& [key, value] : fields) {
    body += '\t';
    escape_to(body, key);
    body += '\t';
    escape_to(body, value);
  }
}

}  // namespace

void Writer::Impl::append(std::string_view lines) {
  check_usable();
  for (;;) {
    lines = append_rows(lines);
    const auto newline = lines.find('\n');
    append_line(lines.substr(0, newline));
    if (newline == std::string_view::npos) break;
    lines.remove_prefix(newline + 1);
  }
  write_blocks();
}

// Takes rows of the open transaction and of the last row's table off the front without taking them
// apart. Most lines are such rows. At least one line is left.
std::string_view Writer::Impl::append_rows(std::string_view lines) {
  while (open_ && !row_start_.empty()) {
    const char* at = lines.data();
    const char* const end = at + lines.size();
    const std::size_t most = std::min(lines.size(), kRowsAtOnce);
    // No line is shorter than its start, and each gets a prefix.
    const std::size_t most_lines = most / row_start_.size() + 1;
    char* const begin = buffer_.room(most + most_lines * LinePrefix::kRoom + kCopySlack);
    const std::size_t full =
        options_.buffer_bytes - std::min(options_.buffer_bytes, buffer_.size());
    const char* const stop = lines.data() + most;
    char* out = begin;
    std::uint64_t count = 0;
    while (static_cast<std::size_t>(stop - at) > row_start_.size() && begins_with(at, row_start_)) {
      const std::size_t prefix = prefix_.copy_to(out);
      const std::size_t size = copy_line(out + prefix, at, stop);
      if (size == 0) break;
      at += size;
      out += prefix + size;
      prefix_.count_up();
      ++count;
      if (static_cast<std::size_t>(out - begin) >= full) break;
    }
    if (count == 0) return lines;
    const auto size = static_cast<std::size_t>(out - begin);
    buffer_.grow(size);
    last_.s += count;  // from UINT64_MAX to 0 for the first of a second
    open_bytes_ += size;
    open_lines_ += count;
    appended_bytes_ += size;
    appended_lines_ += count;
    lines.remove_prefix(static_cast<std::size_t>(at - lines.data()));
    if (buffer_.size() >= options_.buffer_bytes) write_out();
    if (at == end) break;
  }
  return lines;
}

// The position at which the next group begins. A clock that steps back holds the second.
Position Writer::Impl::next_position() const {
  const std::int64_t c = std::max({options_.clock(last_.c), last_.c, least_c_});
  return c == last_.c ? Position{c, last_.s + 1} : Position{c, 0};
}

void Writer::Impl::append_line(std::string_view line) {
  if (!open_) begin_transaction(line);
  if (has_open_xid(line)) {
    add_row(line);
  } else {
    const Change change = parse_change(line);
    if (change.xid != xid_) {
      throw ProtocolError(
          fmt::format("a line of transaction {} came inside transaction {}, which has no commit "
                      "line yet",
                      change.xid, xid_),
          "lines without commit lines cannot be kept: use -o include-transaction");
    }
    if (change.action == Action::Commit) {
      commit(line, change);
    } else {
      add_row(line);
    }
  }
  if (buffer_.size() >= options_.buffer_bytes) write_out();
}

// Whether `line` is of a table and of the open transaction, seen without taking it apart: a commit
// line has no table. False sends it the long way.
bool Writer::Impl::has_open_xid(std::string_view line) {
  if (!line.starts_with(kTableKey)) return false;
  const auto tab = line.find('\t', kTableKey.size());
  if (tab == std::string_view::npos || !line.substr(tab + 1).starts_with(xid_field_)) return false;
  row_start_ = line.substr(0, tab + 1 + xid_field_.size());
  return true;
}

void Writer::Impl::begin_transaction(std::string_view first_line) {
  const Change change = parse_change(first_line);
  if (change.action == Action::Mark || change.action == Action::Abort ||
      change.action == Action::Gap || change.crc) {
    throw ProtocolError(fmt::format("a line of action \"{}\" cannot come from a server",
                                    action_name(change.action)));
  }
  const Position first = ready_position();
  before_open_ = last_;
  prefix_.set(first);
  last_ = first.s == 0 ? Position{first.c, UINT64_MAX} : Position{first.c, first.s - 1};
  xid_ = change.xid;
  xid_field_ = fmt::format("_xid\t{}\t", xid_);
  row_start_.clear();
  open_ = true;
  open_written_ = false;
  open_at_ = buffer_.size();
  open_bytes_ = open_lines_ = 0;
}

void Writer::Impl::add_row(std::string_view line) {
  const std::size_t size = prefix_.view().size() + line.size() + 1;
  char* out = buffer_.room(size + LinePrefix::kRoom);
  out += prefix_.copy_to(out);
  std::memcpy(out, line.data(), line.size());
  out[line.size()] = '\n';
  buffer_.grow(size);
  prefix_.count_up();
  ++last_.s;  // from UINT64_MAX to 0 for the first of a second
  open_bytes_ += size;
  ++open_lines_;
  appended_bytes_ += size;
  ++appended_lines_;
}

void Writer::Impl::commit(std::string_view line, const Change& change) {
  last_commit_time_us_ = change.time_us;
  if (change.lsn <= last_lsn_) {  // it has been here before
    if (open_written_) {
      abort_written();
    } else {
      drop_open();
    }
    return;
  }
  add_end_line(line);
  last_lsn_ = change.lsn;
  if (change.next) known_next_ = change.next;
  open_ = false;
}

void Writer::Impl::drop_open() {
  buffer_.cut(open_at_);
  chain_ = group_chain_;
  crc_at_ = open_at_;
  last_ = before_open_;
  appended_bytes_ -= open_bytes_;
  appended_lines_ -= open_lines_;
  open_ = false;
}

void Writer::Impl::abort_written() {
  add_end_line(fmt::format("_xid\t{}\t_action\tabort", xid_));
  open_ = false;
}

// Appends the line that ends a group, with the CRC of all since the last such line.
void Writer::Impl::add_end_line(std::string_view body) {
  const std::size_t at = buffer_.size();
  buffer_.append(prefix_.view());
  chain_ = extend_crc(chain_, buffer_.from(crc_at_));
  chain_ = extend_crc(chain_, body);
  chain_ = extend_crc(chain_, "\n");
  group_chain_ = chain_;
  buffer_.append(kCrcKey);
  buffer_.append(crc_text(chain_));
  buffer_.append("\t");
  buffer_.append(body);
  buffer_.append("\n");
  crc_at_ = buffer_.size();
  prefix_.count_up();
  ++last_.s;
  after_gap_ = false;
  appended_bytes_ += buffer_.size() - at;
  ++appended_lines_;
}

// A mark or a gap: a group of its own.
void Writer::Impl::add_single(Position at, std::string_view body) {
  prefix_.set(at);
  add_end_line(body);
  last_ = at;
}

void Writer::Impl::abort() {
  check_usable();
  if (!open_) return;
  if (open_written_) {
    abort_written();
  } else {
    drop_open();
  }
}

std::string Writer::Impl::mark_body(Lsn lsn, const MarkFacts& facts, bool first_of_day) const {
  std::string body = "_lsn\t" + lsn.text();
  if (facts.timeline) body += fmt::format("\t_timeline\t{}", *facts.timeline);
  if (facts.next) body += fmt::format("\t_next\t{}", *facts.next);
  if (first_of_day && last_ != Position::begin()) body += "\t_prev\t" + crc_text(group_chain_);
  append_fields(body, facts.leading_fields);
  body += "\t_action\tmark";
  append_fields(body, facts.holds);
  return body;
}

void Writer::Impl::mark(Lsn lsn, const MarkFacts& facts) {
  check_usable();
  assert(!open_);
  // A mark says that nothing of this stream is missing up to its LSN. That stays true if the stream
  // is further on already.
  lsn = std::max(lsn, last_lsn_);
  Position at = next_position();
  // A mark that knows everything that the first mark of a day must say is that mark. Otherwise the
  // Writer asks for one of its own.
  if (is_new_day(at) && (facts.next || !options_.day_mark)) {
    open_day_file(at);
    add_single(at, mark_body(lsn, facts, true));
  } else {
    at = ready_position();
    add_single(at, mark_body(lsn, facts, false));
  }
  last_lsn_ = lsn;
  if (facts.next) known_next_ = facts.next;
}

void Writer::Impl::gap(Lsn old_slot_end,
                       const std::vector<std::pair<std::string, std::string>>& leading_fields) {
  check_usable();
  assert(!open_);
  const Position at = ready_position();
  std::string body = "_lsn\t" + old_slot_end.text();
  append_fields(body, leading_fields);
  add_single(at, body + "\t_action\tgap");
  after_gap_ = true;
}

}  // namespace daystream
