// Opening a daystream to write, and what its manifest says.
#include <fmt/format.h>

#include <ctime>

#include "calendar.h"
#include "day_file.h"
#include "daystream/durable.h"
#include "daystream/error.h"
#include "lock.h"
#include "manifest_file.h"
#include "seek.h"
#include "writer_impl.h"

namespace daystream {

namespace {

void check_same_source(const std::filesystem::path& directory, const Manifest& found,
                       const Manifest& wanted) {
  constexpr const char* kHint = "one directory per source: give another directory with -D";
  const std::string name = fmt::format("daystream \"{}\"", directory.string());
  if (found.sources == wanted.sources) {
    require_same_source(name, found.source(), "what is to be written", wanted.source(), kHint,
                        Pipe::IsAnother);
    return;
  }
  const auto names = [](const Manifest& manifest) {
    std::string text;
    for (const MergedSource& source : manifest.sources) {
      text += fmt::format("{}\"{}\" (database \"{}\" of system {})", text.empty() ? "" : ", ",
                          source.name, source.database, source.system_identifier);
    }
    return text.empty() ? std::string("one database") : text;
  };
  throw WrongSource(fmt::format("{} is merged of {}, not of {}", name, names(found), names(wanted)),
                    "name the same sources, or write to another directory");
}

}  // namespace

Writer::Impl::Impl(const std::filesystem::path& directory, const Manifest& wanted,
                   std::optional<Lsn> confirmed_flush, WriterOptions options)
    : options_(std::move(options)), prefix_(Position::begin()) {
  if (!options_.clock)
    options_.clock = [](std::int64_t) { return std::int64_t{std::time(nullptr)}; };
  require_own_directory(directory);
  make_directory(directory);
  lock_ = lock_directory(directory);
  if (!options_.dir) place_.emplace(watch_directory(directory));
  dir_ = options_.dir ? options_.dir : std::shared_ptr<Dir>(real_dir(directory));
  open_manifest(directory, wanted, confirmed_flush);
  open_durable();
  // Where it stands as it stood at first, none of it was confirmed for us: nothing may be on disk
  // yet, not even the first mark, which says where that is.
  const bool ours = !manifest_.begun || !confirmed_flush || *confirmed_flush > *manifest_.begun;
  continue_from(recover(*dir_, ours ? confirmed_flush : std::nullopt));
}

void Writer::Impl::open_manifest(const std::filesystem::path& directory, const Manifest& wanted,
                                 std::optional<Lsn> confirmed_flush) {
  if (dir_->open(kManifestName)) {
    manifest_ = load_manifest(*dir_);
    check_same_source(directory, manifest_, wanted);
    return;
  }
  manifest_ = wanted;
  manifest_.begun = confirmed_flush;
  if (manifest_.created.empty()) manifest_.created = utc_text(at_second(options_.clock(last_.c)));
  if (manifest_.name.empty()) manifest_.name = whole_path(directory).filename();
  if (manifest_.holdings.empty()) manifest_.holdings.push_back({{0, 0}, "", {}});
  save_manifest(*dir_, manifest_);
}

// Made before the first day file: a reader that finds lines and no `durable` takes the directory
// for a copy and believes all of it.
void Writer::Impl::open_durable() {
  durable_file_ = dir_->open_writable(kDurableName);
  if (durable_file_ || !list_days(*dir_).empty()) return;
  Durable nothing;
  nothing.position = Position::begin();
  durable_file_ = dir_->create(kDurableName);
  durable_file_->write_at(nothing.text(), 0);
  dir_->sync();
}

void Writer::Impl::continue_from(Recovered recovered) {
  recovery_ = std::move(recovered.report);
  file_ = std::move(recovered.file);
  day_ = recovered.day;
  last_ = recovered.state.last;
  last_lsn_ = recovered.lsn;
  chain_ = group_chain_ = recovered.state.chain.value_or(0);
  written_ = recovered.state.offset;
  if (recovered.state.in_transaction) {
    recovery_.aborted_xid = xid_ = recovered.open_xid;
    open_ = open_written_ = true;
    prefix_.set({last_.c, last_.s + 1});
    abort_written();
    write_out();
    file_->sync();
  }
  if (file_) {
    const auto end = Seeker(*file_, written_).last_end_before(written_);
    after_gap_ = end && end->action == Action::Gap;
  }
  least_c_ = last_.c + 1;
  if (file_) {
    Durable durable;
    durable.position = last_;
    durable.lsn = last_lsn_;
    durable.size_bytes = written_;
    durable.chain = chain_;
    if (!durable_file_) {
      durable_file_ = dir_->create(kDurableName);
      dir_->sync();
    }
    durable_file_->write_at(durable.text(), 0);
  } else {
    Durable nothing;
    nothing.position = Position::begin();
    if (!durable_file_) durable_file_ = dir_->create(kDurableName);
    durable_file_->write_at(nothing.text(), 0);
    dir_->sync();
  }
  flushed_position_ = last_;
  flushed_lsn_ = last_lsn_;
  appended_bytes_ = appended_lines_ = 0;
}

void Writer::Impl::declare_holding(const Holding& holding) {
  if (manifest_.holdings.back().same_filter(holding)) return;
  Holding from_here = holding;
  if (last_ == Position::begin()) {
    from_here.since = {0, 0};
    manifest_.holdings.clear();
  } else {
    from_here.since = last_;
  }
  manifest_.holdings.push_back(std::move(from_here));
  save_manifest(*dir_, manifest_);
}

void Writer::Impl::declare_keeping(std::optional<std::uint64_t> days,
                                   std::optional<std::uint64_t> bytes) {
  if (manifest_.keep_days == days && manifest_.keep_bytes == bytes) return;
  manifest_.keep_days = days;
  manifest_.keep_bytes = bytes;
  save_manifest(*dir_, manifest_);
}

}  // namespace daystream
