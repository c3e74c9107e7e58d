#include "verification.h"

#include <fmt/format.h>

#include <chrono>

#include "calendar.h"
#include "crc32c.h"
#include "day_file.h"
#include "daystream/error.h"
#include "durable_file.h"
#include "json_text.h"
#include "manifest_file.h"
#include "program/figures.h"
#include "scanner.h"
#include "source.h"
#include "stream_impl.h"
#include "stream_json.h"
#include "stream_view.h"

namespace daystream::command {

namespace {

struct Checked {
  std::uint64_t days = 0;
  std::uint64_t bytes = 0;
  std::uint64_t lines = 0;
  std::uint64_t transactions = 0;
  std::uint64_t marks = 0;
  std::uint64_t aborts = 0;
  std::uint64_t gaps = 0;

  void add(const Group& group) {
    lines += group.line_count + 1;
    switch (group.end_change.action) {
      case Action::Commit:
        ++transactions;
        break;
      case Action::Mark:
        ++marks;
        break;
      case Action::Abort:
        ++aborts;
        break;
      default:
        ++gaps;
    }
  }
};

// LSNs of commits and marks never go back: it is by them that a consumer skips what it has.
void check_order(const Group& group, const File& file, Lsn& last) {
  const Change& end = group.end_change;
  if (end.action != Action::Commit && end.action != Action::Mark) return;
  const bool repeated = end.action == Action::Commit && end.lsn == last;
  if (end.lsn < last || repeated) {
    throw Corruption(file.path(), group.end_line,
                     fmt::format("LSN {} of line {} cannot follow LSN {}", end.lsn.text(),
                                 group.end_position.text(), last.text()));
  }
  last = end.lsn;
}

Checked check(const StreamView& view) {
  Checked counts;
  ScanState state;
  Lsn lsn;
  for (const std::int64_t day : view.days()) {
    const bool is_last = day == view.days().back();
    const auto kept = view.open_if_kept(day);
    if (!kept) {  // deleted just now, with all before it
      state = {};
      continue;
    }
    const DayView& open = *kept;
    state.offset = 0;
    GroupScanner scanner(*open.file, day, state, open.limit);
    Group group;
    while (scanner.next(group)) {
      check_order(group, *open.file, lsn);
      counts.add(group);
    }
    state = scanner.state();
    ++counts.days;
    counts.bytes += open.limit;
    if (!is_last && (scanner.half_line() || state.in_transaction || state.offset == 0)) {
      throw Corruption(open.file->path(), scanner.last_group().offset,
                       "the file does not end in a commit, mark, abort or gap, but a later day "
                       "follows");
    }
    if (!is_last || !view.is_settled()) continue;
    const Durable& durable = view.durable();
    if (scanner.half_line() || state.last != durable.position || state.chain != durable.chain) {
      throw Corruption(
          open.file->path(), state.offset,
          fmt::format("\"{}\" says that line {} with CRC {} ends at byte {}", kDurableName,
                      durable.position.text(), crc_text(durable.chain), durable.size_bytes));
    }
    if (lsn != durable.lsn) {
      throw Corruption(open.file->path(), state.offset,
                       fmt::format("\"{}\" says that LSN {} is the last, it is {}", kDurableName,
                                   durable.lsn.text(), lsn.text()));
    }
  }
  return counts;
}

void print_checked_text(const std::string& name, const StreamView& view, const Checked& counts,
                        double took_s) {
  if (view.empty()) {
    fmt::print("daystream \"{}\": no line yet\n", name);
    return;
  }
  const auto bytes = static_cast<double>(counts.bytes);
  fmt::print("daystream \"{}\": {}, {}, {}, {}, {}, {}, {}: no damage ({:.2f} s, {}/s)\n", name,
             program::counted(counts.days, "day"), program::counted(counts.lines, "line"),
             program::counted(counts.transactions, "transaction"),
             program::counted(counts.marks, "mark"), program::counted(counts.aborts, "abort"),
             program::counted(counts.gaps, "gap"), program::bytes_text(bytes), took_s,
             program::bytes_text(bytes / took_s));
  const Durable& durable = view.durable();
  fmt::print("durable through {} (LSN {}, {})\n", durable.position.text(), durable.lsn.text(),
             utc_text(at_second(durable.position.c)));
  if (!view.is_settled()) {
    fmt::print(
        "there is no readable file \"{}\": everything through the last whole commit counts\n",
        kDurableName);
  }
}

// The keys are those of `info --json`, where it has the same.
void print_checked_json(const std::string& name, const StreamView& view, const Checked& counts,
                        double took_s) {
  std::optional<StreamInfo::Point> durable;
  if (!view.empty()) durable = StreamInfo::Point{view.durable().position, view.durable().lsn};
  const nlohmann::ordered_json value = {{"stream", name},
                                        {"days", counts.days},
                                        {"size_bytes", counts.bytes},
                                        {"lines", counts.lines},
                                        {"transactions", counts.transactions},
                                        {"marks", counts.marks},
                                        {"aborts", counts.aborts},
                                        {"gaps", counts.gaps},
                                        {"durable", to_json(durable)},
                                        {"durable_file", view.is_settled()},
                                        {"took_seconds", took_s}};
  fmt::print("{}", json_page(value));
}

void verify_view(const std::string& name, const StreamView& view, bool json) {
  const auto begin = std::chrono::steady_clock::now();
  const Checked counts = view.empty() ? Checked{} : check(view);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  (json ? print_checked_json : print_checked_text)(name, view, counts, took.count());
}

}  // namespace

void verify_directory(const Stream& source, bool json) {
  const auto dir = files_of(source);
  if (!dir) local_directory(source);  // which says what to do instead
  load_manifest(*dir);
  with_view(*dir, [&](const StreamView& view) { verify_view(source.address(), view, json); });
}

}  // namespace daystream::command
