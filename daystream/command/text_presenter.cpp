#include "text_presenter.h"

#include <fmt/format.h>

#include <algorithm>

#include "calendar.h"
#include "origin.h"
#include "program/figures.h"
#include "program/harmless.h"

namespace daystream::command {

namespace {

constexpr std::size_t kWidestTable = 40;

std::string time_text(const Transaction& of) {
  const std::int64_t us = of.end().time_us;
  if (us <= 0) return utc_text(at_second(of.position().c));
  std::string text = utc_text(at_second(us / 1'000'000));
  text.pop_back();  // Z
  return text + fmt::format(".{:06}Z", us % 1'000'000);
}

// Names and values as they stand in the file, escapes too, so that a line stays a line.
void harmless(std::string& out, std::string_view raw) {
  program::append_harmless(out, raw);
}

// Characters of UTF-8.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

}  // namespace

void TextPresenter::put(std::string& out, Colour colour, std::string_view text) const {
  static constexpr const char* kCodes[] = {"",         "\x1b[1m",  "\x1b[2m",
                                           "\x1b[32m", "\x1b[33m", "\x1b[31m"};
  const bool plain = !colours_ || colour == Colour::Plain;
  if (!plain) out += kCodes[static_cast<std::size_t>(colour)];
  harmless(out, text);
  if (!plain) out += "\x1b[0m";
}

void TextPresenter::value(std::string& out, std::string_view raw) const {
  if (raw == kNull) {
    put(out, Colour::Quiet, "NULL");
  } else {
    harmless(out, raw);
  }
}

void TextPresenter::heading(std::string& out, const Transaction& of) {
  std::string text = fmt::format("{}  xid {}  LSN {}  {}", time_text(of), of.end().xid,
                                 of.lsn().text(), of.position().text());
  // In a stream merged of several databases the heading names the source.
  if (const std::string_view source = source_of(of.end()); !source.empty()) {
    text += fmt::format("  {}", source);
  }
  put(out, Colour::Heading, text);
  out += '\n';
  open_ = true;
}

void TextPresenter::line(std::string& out, const Transaction& of, const Line& line) {
  if (!open_) heading(out, of);
  if (++lines_ > most_lines_) return;
  const Change change = parse_change(line.body);
  std::string_view name;
  std::string_view raw;
  if (change.action == Action::Replace) {  // shown with its update, as what the row was
    old_.emplace();
    for (FieldCursor cursor(change.columns); cursor.next(name, raw);) old_->emplace_back(name, raw);
    return;
  }
  const std::string_view table = change.table.empty() ? "-" : change.table;
  const std::size_t width = width_of(table);
  table_width_ = std::min(kWidestTable, std::max(table_width_, width));
  out += "  ";
  put(out, Colour::Plain, table);
  out.append(width < table_width_ ? table_width_ - width : 0, ' ');
  const Colour colour = change.action == Action::Insert   ? Colour::Added
                        : change.action == Action::Update ? Colour::Changed
                        : change.action == Action::Schema ? Colour::Quiet
                                                          : Colour::Removed;
  out += "  ";
  put(out, colour, fmt::format("{:<8}", action_name(change.action)));
  for (FieldCursor cursor(change.columns); cursor.next(name, raw);) {
    out += "  ";
    put(out, Colour::Quiet, name);
    put(out, Colour::Quiet, "=");
    if (old_) {
      const auto before = std::find_if(old_->begin(), old_->end(),
                                       [&](const auto& column) { return column.first == name; });
      if (before != old_->end() && before->second != raw) {
        value(out, before->second);
        put(out, Colour::Changed, "→");
      }
    }
    value(out, raw);
  }
  out += '\n';
  old_.reset();
}

void TextPresenter::end(std::string& out, const Transaction& of) {
  if (of.kind() == Transaction::Kind::Mark) {
    put(out, Colour::Quiet,
        fmt::format("{}  mark  LSN {}  {}", utc_text(at_second(of.position().c)), of.lsn().text(),
                    of.position().text()));
    out += '\n';
  } else if (of.kind() == Transaction::Kind::Gap) {
    put(out, Colour::Removed,
        fmt::format("{}  gap: changes after LSN {} are missing  {}",
                    utc_text(at_second(of.position().c)), of.lsn().text(), of.position().text()));
    out += '\n';
  } else if (!open_) {
    heading(out, of);  // nothing but its commit
  }
  if (lines_ > most_lines_) {
    put(out, Colour::Quiet,
        fmt::format("  … {} not shown (--all shows them)",
                    program::counted(lines_ - most_lines_, "line")));
    out += '\n';
  }
  lines_ = 0;
  open_ = false;
  old_.reset();
}

}  // namespace daystream::command
