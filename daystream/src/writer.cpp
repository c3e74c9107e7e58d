#include "daystream/writer.h"

#include "writer_impl.h"

namespace daystream {

Writer::Writer(const std::filesystem::path& directory, const Manifest& wanted,
               std::optional<Lsn> confirmed_flush, WriterOptions options)
    : impl_(std::make_unique<Impl>(directory, wanted, confirmed_flush, std::move(options))) {}

// Nothing is written here: what was not flushed comes again from the server.
Writer::~Writer() = default;

const Manifest& Writer::manifest() const noexcept {
  return impl_->manifest_;
}
const Recovery& Writer::recovery() const noexcept {
  return impl_->recovery_;
}
bool Writer::empty() const noexcept {
  return impl_->last_ == Position::begin();
}
void Writer::append(std::string_view lines) {
  impl_->take_files();
  impl_->append(lines);
}
bool Writer::in_transaction() const noexcept {
  return impl_->in_transaction();
}
void Writer::abort() {
  impl_->abort();
}
void Writer::mark(Lsn lsn, const MarkFacts& facts) {
  impl_->take_files();
  impl_->mark(lsn, facts);
}
void Writer::gap(Lsn old_slot_end,
                 const std::vector<std::pair<std::string, std::string>>& leading_fields) {
  impl_->take_files();
  impl_->gap(old_slot_end, leading_fields);
}
bool Writer::after_gap() const noexcept {
  return impl_->after_gap_;
}
Lsn Writer::last_lsn() const noexcept {
  return impl_->last_lsn_;
}
Position Writer::position() const noexcept {
  return impl_->last_;
}
std::int64_t Writer::last_commit_time_us() const noexcept {
  return impl_->last_commit_time_us_;
}
Lsn Writer::flushed() const noexcept {
  return impl_->flushed_lsn_;
}
Position Writer::flushed_position() const noexcept {
  return impl_->flushed_position_;
}
bool Writer::dirty() const noexcept {
  return impl_->dirty();
}
std::uint64_t Writer::appended_bytes() const noexcept {
  return impl_->appended_bytes_;
}
std::uint64_t Writer::appended_lines() const noexcept {
  return impl_->appended_lines_;
}
void Writer::check_place() {
  impl_->check_place();
}
void Writer::write_out() {
  impl_->write_out();
}
Writer::Flush Writer::begin_flush() {
  Flush flush;
  flush.work_ = impl_->begin_flush();
  return flush;
}
void Writer::finish_flush(const Flush& flush) {
  impl_->finish_flush(*flush.work_);
}
void Writer::flush() {
  Flush flush = begin_flush();
  flush.run();
  finish_flush(flush);
}
void Writer::release_files() {
  impl_->release_files();
}
void Writer::declare_holding(const Holding& holding) {
  impl_->take_files();
  impl_->declare_holding(holding);
}
void Writer::declare_keeping(std::optional<std::uint64_t> days,
                             std::optional<std::uint64_t> bytes) {
  impl_->take_files();
  impl_->declare_keeping(days, bytes);
}

}  // namespace daystream
