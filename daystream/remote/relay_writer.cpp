#include "remote/relay_writer.h"

#include <fmt/format.h>

#include <algorithm>

#include "calendar.h"
#include "day_file.h"
#include "daystream/error.h"
#include "lock.h"
#include "manifest_file.h"

namespace daystream::remote {

void check_same_source(const std::filesystem::path& directory, const Manifest& ours,
                       const Manifest& theirs) {
  constexpr const char* kHint = "one directory per stream: pull into another one";
  const std::string name = fmt::format("daystream \"{}\"", directory.string());
  require_same_source(name, ours.source(), "the server's", theirs.source(), kHint);
  if (ours.id == theirs.id && ours.created == theirs.created) return;
  throw WrongSource(
      fmt::format("{} is a copy of another stream (created {}) than the server's ({})", name,
                  ours.created, theirs.created),
      kHint);
}

RelayWriter::RelayWriter(const std::filesystem::path& directory, const Manifest& source,
                         const std::string& text) {
  require_own_directory(directory);
  make_directory(directory);
  lock_ = lock_directory(directory);
  dir_ = real_dir(directory);
  if (dir_->open(kManifestName)) {
    check_same_source(directory, load_manifest(*dir_), source);
  }
  save_manifest(text);

  // Before the first day file, as a Writer does: a reader takes a directory without it for a copy
  // that is whole.
  durable_.position = Position::begin();
  durable_file_ = dir_->open_writable(kDurableName);
  if (!durable_file_ && list_days(*dir_).empty()) {
    durable_file_ = dir_->create(kDurableName);
    durable_file_->write_at(durable_.text(), 0);
    dir_->sync();
  }
  Recovered found = recover(*dir_, std::nullopt);
  recovery_ = std::move(found.report);
  file_ = std::move(found.file);
  if (!durable_file_) durable_file_ = dir_->create(kDurableName);
  if (file_) {
    day_ = found.day;
    written_ = found.state.offset;
    if (found.state.in_transaction) {
      throw NeedsPerson(fmt::format("daystream \"{}\" ends in an unfinished transaction at {}: it "
                                    "was written by deltastream, not pulled",
                                    directory.string(), found.state.last.text()),
                        "pull into another directory");
    }
    durable_ = {found.state.last, found.lsn, written_, found.state.chain.value_or(0)};
    scanner_.emplace(*file_, day_, found.state, written_);
  }
  durable_file_->write_at(durable_.text(), 0);
  dir_->sync();
}

void RelayWriter::save_manifest(const std::string& text) {
  if (const auto file = dir_->open(kManifestName); file && read_whole(*file) == text) return;
  replace_file(*dir_, std::string(kManifestName), text);
}

// ---- bytes into files --------------------------------------------------------------------------

void RelayWriter::append(std::string_view bytes) {
  unflushed_ += bytes.size();
  runs_.feed(bytes, [this](std::int64_t day, std::string_view run) {
    begin_day(day);
    file_->write_at(run, written_);
    written_ += run.size();
  });
}

void RelayWriter::begin_day(std::int64_t day) {
  if (file_ && day == day_) return;
  ScanState from;
  if (file_) {
    // The day before is on disk whole before its successor has a name (Writer does the same).
    check();
    from = scanner_->state();
    if (from.in_transaction || scanner_->half_line() || day < day_) {
      throw NeedsPerson(fmt::format("the server sent line of day {} inside a transaction of day {}",
                                    day_text(day), day_text(day_)),
                        "run \"daystream verify\" where the stream is written");
    }
    file_->sync();
    from.offset = 0;
  }
  scanner_.reset();
  file_ = dir_->create(day_file_name(day));
  dir_->sync();
  day_ = day;
  written_ = 0;
  scanner_.emplace(*file_, day_, from, 0);
}

// ---- checking and syncing ----------------------------------------------------------------------

void RelayWriter::check() {
  scanner_->set_limit(written_);
  Group group;
  try {
    while (scanner_->next(group)) {
      const Change& end = group.end_change;
      if (end.action == Action::Commit || end.action == Action::Mark) durable_.lsn = end.lsn;
      if (end.action == Action::Mark && !end.columns.empty()) manifest_due_ = true;
    }
  } catch (const Corruption& e) {
    throw NeedsPerson(fmt::format("what the server sent is damaged: {}", e.what()),
                      "run \"daystream verify\" where the stream is written");
  }
}

void RelayWriter::flush() {
  if (!file_ || unflushed_ == runs_.held_bytes()) return;
  unflushed_ = runs_.held_bytes();
  check();
  file_->sync();
  const ScanState& group = scanner_->last_group();
  if (group.offset == 0 || group.last == durable_.position) return;
  durable_.position = group.last;
  durable_.size_bytes = group.offset;
  durable_.chain = group.chain.value_or(0);
  durable_file_->write_at(durable_.text(), 0);
}

}  // namespace daystream::remote
