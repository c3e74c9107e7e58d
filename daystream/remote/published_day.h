// A day file that is published: where it is cut into messages, and what of it is known to be there.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "daystream/durable.h"
#include "daystream/stop.h"
#include "dir.h"
#include "reader_source.h"
#include "remote/nats_range.h"
#include "scanner.h"

namespace daystream::remote {

// From the file's first byte on. Every byte is checked, as a Reader does, before it goes anywhere.
//
// Threads: one. Errors: Corruption; Stopped once `stop` is requested, which what reads much asks
// now and then.
class PublishedDay {
 public:
  // `before`: the day before it, if that was published.
  PublishedDay(std::unique_ptr<File> file, std::int64_t day, const ScanState& from, Lsn lsn,
               std::optional<NatsRange::DayEnd> before, Stop stop);

  std::int64_t day() const noexcept { return day_; }
  std::uint64_t end() const noexcept { return end_; }  // there up to here
  std::uint64_t size_of_file() const { return file_->size(); }
  const Durable& durable() const noexcept { return durable_; }

  // Goes on through bytes that are there already. False: the file has fewer, or others.
  enum class Same { Yes, Shorter, Other };
  Same pass_over(const NatsRange& last);

  // A range of the next bytes, up to `end` at most; the same one again until it is there. `limit`:
  // what is durable, if it is of this day and ends there.
  NatsRange next(std::uint64_t end, const ReaderSource::Limit* limit);
  std::string bytes_of(const NatsRange& range) const;
  void arrived(const NatsRange& range);

  // Whether a mark was met, since the last call, behind which the manifest may say something new.
  bool take_manifest_due() noexcept { return std::exchange(manifest_due_, false); }
  // How the next day goes on. Throws Corruption where this one ends in the middle of a transaction.
  ScanState state_at_end() const;
  Lsn lsn() const noexcept { return lsn_; }

 private:
  void require_time() const;
  void scan_to(std::uint64_t end);
  void check_end(const ReaderSource::Limit& limit) const;

  struct Cut {
    std::uint64_t end = 0;
    Durable durable;
  };

  const std::unique_ptr<File> file_;
  const std::int64_t day_;
  const std::optional<NatsRange::DayEnd> before_;
  const Stop stop_;
  GroupScanner scanner_;
  // Scanned, perhaps beyond `end_`: where the last group ends.
  Durable group_{Position::begin(), {}, 0, 0};
  Lsn lsn_;
  bool manifest_due_ = false;

  std::uint64_t end_ = 0;
  std::uint32_t sum_ = 0;  // of the bytes up to there
  Durable durable_;        // the last place up to there where whole lines end
  Cut cut_;                // where next() ended: what was scanned for it may be behind `end_`
};

}  // namespace daystream::remote
