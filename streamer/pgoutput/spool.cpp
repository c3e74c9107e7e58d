#include "pgoutput/spool.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "daystream/error.h"
#include "src/reasons.h"

namespace deltastream::pgoutput {

namespace {

constexpr std::size_t kBufferBytes = 256 * 1024;
constexpr std::size_t kHeader = sizeof(std::uint32_t);

bool is_full(const daystream::IoError& error) noexcept {
  return daystream::is_no_room(error.error_number());
}

}  // namespace

SpoolFull::SpoolFull(const std::string& message)
    : Error(message,
            "it connects again and lets PostgreSQL keep them until they are committed, which takes "
            "room there, in pg_replslot; more room here, or a larger --max-spool, and a restart "
            "bring them here again") {}

SpoolFile::SpoolFile(daystream::Dir& dir, std::string name) : dir_(dir), name_(std::move(name)) {}

SpoolFile::~SpoolFile() {
  if (!made_) return;
  try {
    file_.reset();
    dir_.remove(name_);
  } catch (const daystream::IoError&) {
    // It is cleared at the next start.
  }
}

daystream::File& SpoolFile::file() {
  if (!file_) file_ = made_ ? dir_.open_writable(name_) : dir_.create(name_);
  made_ = true;
  return *file_;
}

void SpoolFile::append(std::string_view message) {
  const auto size = static_cast<std::uint32_t>(message.size());
  char header[kHeader];
  std::memcpy(header, &size, kHeader);
  buffer_.append(header, kHeader);
  buffer_.append(message);
  size_ += kHeader + message.size();
  if (buffer_.size() >= kBufferBytes) write_out();
}

void SpoolFile::write_out() {
  if (buffer_.empty()) return;
  try {
    file().write_at(buffer_, written_);
  } catch (const daystream::IoError& e) {
    if (!is_full(e)) throw;
    throw SpoolFull(fmt::format("no room for transactions in progress: {}", e.what()));
  }
  written_ += buffer_.size();
  buffer_.clear();
}

void SpoolFile::truncate(std::uint64_t size) {
  if (size >= written_) {
    buffer_.resize(size - written_);
  } else {
    buffer_.clear();
    file().truncate(size);
    written_ = size;
  }
  size_ = size;
}

void SpoolFile::release() {
  write_out();
  buffer_ = std::string();
  file_.reset();
}

// What was never written is read from memory.
void SpoolFile::fill(std::size_t wanted) {
  if (buffer_.size() - taken_ >= wanted) return;
  buffer_.erase(0, taken_);
  taken_ = 0;
  const std::size_t old = buffer_.size();
  const std::uint64_t left = written_ - read_;
  const auto more =
      static_cast<std::size_t>(std::min<std::uint64_t>(std::max(wanted - old, kBufferBytes), left));
  buffer_.resize(old + more);
  const std::size_t got = file().read_at({buffer_.data() + old, more}, read_);
  read_ += got;
  if (got != more || buffer_.size() < wanted) {
    throw daystream::Error(
        fmt::format("the file of a transaction in progress, \"{}\", is shorter than it was written",
                    dir_.path_of(name_)),
        "leave the files in the daystream's directory alone; it is begun again at the next "
        "connection");
  }
}

bool SpoolFile::next(std::string_view& message) {
  if (!reading_) {
    reading_ = true;
    if (written_ != 0) {
      write_out();
    } else {
      read_ = written_;
    }
  }
  if (taken_ == buffer_.size() && read_ == written_) return false;
  fill(kHeader);
  std::uint32_t size = 0;
  std::memcpy(&size, buffer_.data() + taken_, kHeader);
  fill(kHeader + size);
  message = std::string_view(buffer_).substr(taken_ + kHeader, size);
  taken_ += kHeader + size;
  return true;
}

Spool::Spool(const std::filesystem::path& directory, std::uint64_t most_bytes)
    : most_bytes_(most_bytes) {
  std::error_code problem;
  std::filesystem::remove_all(directory, problem);
  if (!problem) std::filesystem::create_directories(directory, problem);
  if (problem) {
    throw daystream::IoError(fmt::format("could not clear \"{}\"", directory.string()),
                             problem.value());
  }
  dir_ = daystream::real_dir(directory);
}

Spool::~Spool() {
  transactions_.clear();
  std::error_code ignored;  // somebody's file is in it: it is cleared at the next start
  std::filesystem::remove(dir_->path(), ignored);
}

std::unique_ptr<SpoolFile> Spool::new_file() {
  return std::make_unique<SpoolFile>(*dir_, std::to_string(++files_made_));
}

void Spool::begin_block(std::uint32_t xid) {
  if (current_ != nullptr) {
    throw daystream::ProtocolError("a block of pgoutput begins within another one");
  }
  Transaction& transaction = transactions_[xid];
  if (!transaction.file) {
    transaction.file = new_file();
    transaction.last = xid;
  }
  current_ = &transaction;
  xid_ = xid;
  const std::uint64_t taken = most_bytes_ == 0 ? 0 : bytes();
  left_bytes_ = taken < most_bytes_ ? most_bytes_ - taken : 0;
}

const Spool::Begun* Spool::Transaction::find(std::uint32_t sub) const noexcept {
  const auto first = std::lower_bound(subs.begin(), subs.end(), sub,
                                      [](const Begun& a, std::uint32_t b) { return a.sub < b; });
  if (first != subs.end() && first->sub == sub) return &*first;
  const auto other =
      std::find_if(late.begin(), late.end(), [&](const Begun& each) { return each.sub == sub; });
  return other != late.end() ? &*other : nullptr;
}

void Spool::append(std::uint32_t xid, std::string_view message) {
  Transaction& transaction = *current_;
  if (most_bytes_ != 0) {
    const std::uint64_t more = message.size() + kHeader;
    if (more > left_bytes_) {
      throw SpoolFull(fmt::format("transactions in progress take more than --max-spool, {} bytes",
                                  most_bytes_));
    }
    left_bytes_ -= more;
  }
  if (std::exchange(transaction.last, xid) != xid && xid != xid_ &&
      transaction.find(xid) == nullptr) {
    const bool rising = transaction.subs.empty() || transaction.subs.back().sub < xid;
    (rising ? transaction.subs : transaction.late).push_back({xid, transaction.file->size()});
  }
  transaction.file->append(message);
}

void Spool::end_block() {
  if (current_ == nullptr) throw daystream::ProtocolError("a block of pgoutput ends twice");
  current_->file->release();
  current_ = nullptr;
}

// What was written after a subtransaction began is its own, or of one that is rolled back with it.
void Spool::abort(std::uint32_t xid, std::uint32_t sub) {
  const auto found = transactions_.find(xid);
  if (found == transactions_.end()) return;
  if (sub == xid) {
    transactions_.erase(found);
    return;
  }
  Transaction& transaction = found->second;
  const Begun* const begun = transaction.find(sub);
  if (begun == nullptr) return;
  const std::uint64_t at = begun->at;
  transaction.file->truncate(at);
  transaction.file->release();
  std::erase_if(transaction.late, [&](const Begun& each) { return each.at >= at; });
  while (!transaction.subs.empty() && transaction.subs.back().at >= at) transaction.subs.pop_back();
  transaction.last = xid;
}

std::unique_ptr<SpoolFile> Spool::take(std::uint32_t xid) {
  const auto found = transactions_.find(xid);
  if (found == transactions_.end()) return nullptr;
  std::unique_ptr<SpoolFile> file = std::move(found->second.file);
  transactions_.erase(found);
  return file;
}

std::uint64_t Spool::bytes() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& [xid, transaction] : transactions_) sum += transaction.file->size();
  return sum;
}

}  // namespace deltastream::pgoutput
