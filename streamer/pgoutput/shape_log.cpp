#include "pgoutput/shape_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "daystream/line.h"
#include "src/crc32c.h"
#include "src/number.h"

namespace deltastream::pgoutput {

using daystream::Lsn;

namespace {

constexpr const char* kName = ".shapes";
// A file that is larger is written again without what nobody needs any more.
constexpr std::uint64_t kSmall = 4 << 20;

std::string line_of(Lsn lsn, const ShapeRow& row) {
  std::string body = fmt::format("{}\t{}\t{}\t", lsn.text(), row.relation, row.kind);
  daystream::escape_to(body, row.shape);
  return daystream::crc_text(daystream::extend_crc(0, body)) + '\t' + body + '\n';
}

std::string_view take_field(std::string_view& line) {
  const std::size_t tab = std::min(line.find('\t'), line.size());
  const std::string_view field = line.substr(0, tab);
  line.remove_prefix(std::min(tab + 1, line.size()));
  return field;
}

}  // namespace

ShapeLog::ShapeLog(std::filesystem::path directory)
    : directory_(std::move(directory)), dir_(daystream::real_dir(directory_)) {}

void ShapeLog::forget(const std::filesystem::path& directory) {
  std::error_code ignored;  // it is not there
  std::filesystem::remove(directory / kName, ignored);
}

// Up to what a loss of power has torn: that was of no transaction that the daystream has.
std::vector<ShapeLog::Entry> ShapeLog::read() const {
  std::vector<Entry> entries;
  const auto file = dir_->open(kName);
  const std::string text = file ? daystream::read_whole(*file) : "";
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) break;
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    const std::string_view crc = take_field(line);
    if (crc != daystream::crc_text(daystream::extend_crc(0, line))) break;
    Entry entry;
    entry.lsn = Lsn::parse(std::string(take_field(line))).value_or(Lsn{});
    entry.row.relation = daystream::parse_number<std::uint32_t>(take_field(line)).value_or(0);
    entry.row.kind = take_field(line);
    entry.row.shape = daystream::unescape(line);
    entries.push_back(std::move(entry));
  }
  return entries;
}

void ShapeLog::replace(const std::vector<Entry>& entries) {
  std::string text;
  for (const Entry& entry : entries) text += line_of(entry.lsn, entry.row);
  daystream::replace_file(*dir_, kName, text);
}

std::vector<ShapeRow> ShapeLog::open(Lsn begin, Lsn confirmed) {
  file_.reset();
  std::vector<Entry> entries = read();
  std::erase_if(entries, [&](const Entry& entry) { return entry.lsn > begin; });
  std::vector<ShapeRow> known;
  std::set<std::uint32_t> seen;
  std::vector<Entry> needed;
  const auto bytes = dir_->open(kName) ? dir_->open(kName)->size() : 0;
  bool all_unknown = false;
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    const bool newest = !all_unknown && entry->row.kind != "rewrite" &&
                        (entry->row.kind == "error" || seen.insert(entry->row.relation).second);
    if (newest && entry->row.kind == "shape") known.push_back(entry->row);
    if (newest || entry->lsn > confirmed || bytes <= kSmall) needed.push_back(*entry);
    all_unknown = all_unknown || entry->row.kind == "error";
  }
  std::reverse(needed.begin(), needed.end());
  replace(needed);
  return known;
}

void ShapeLog::keep(Lsn lsn, const std::vector<ShapeRow>& rows) {
  if (!file_) {
    file_ = dir_->open_writable(kName);
    if (!file_) file_ = dir_->create(kName);
    size_ = file_->size();
  }
  std::string text;
  for (const ShapeRow& row : rows) {
    if (row.kind != "rewrite") text += line_of(lsn, row);
  }
  if (text.empty()) return;
  file_->write_at(text, size_);
  size_ += text.size();
  file_->sync();
}

}  // namespace deltastream::pgoutput
