#include "daystream/stream.h"

#include <fmt/format.h>

#include <cassert>

#include "daystream/error.h"
#include "directory_stream.h"
#include "stream_impl.h"

namespace daystream {

namespace {

// What stands before "://"; empty: a directory.
std::string scheme_of(const std::string& address) {
  const auto end = address.find("://");
  return end == std::string::npos ? "" : address.substr(0, end);
}

[[noreturn]] void refuse(const std::string& address, const std::string& known) {
  std::string hint = "give a directory";
  if (address.starts_with("http://") || address.starts_with("https://")) {
    hint = "pull it into a directory: daystream pull URL DIR";
  } else if (known.find("://") != std::string::npos) {
    hint += ", the http:// or https:// address of a \"daystream serve\", or s3://BUCKET/PREFIX";
  }
  throw ConfigError(fmt::format("cannot read \"{}\": this program reads {} only", address, known),
                    hint);
}

}  // namespace

Stream::Stream(const std::filesystem::path& directory) : impl_(directory_stream(directory)) {
  if (!scheme_of(directory.native()).empty()) refuse(directory.native(), "directories");
}

const std::string& Stream::address() const {
  assert(impl_);
  return impl_->address();
}
std::string Stream::absolute_address() const {
  assert(impl_);
  return impl_->absolute_address();
}
std::optional<std::filesystem::path> Stream::directory() const {
  assert(impl_);
  return impl_->directory();
}
std::optional<std::string> Stream::server() const {
  assert(impl_);
  return impl_->server();
}
Manifest Stream::manifest() const {
  assert(impl_);
  return impl_->manifest();
}
std::optional<Extent> Stream::extent() const {
  assert(impl_);
  return impl_->extent();
}
std::optional<Seam> Stream::find_seam(std::uint64_t xmin) const {
  assert(impl_);
  return impl_->find_seam(xmin);
}
std::optional<std::uint32_t> Stream::timeline() const {
  assert(impl_);
  return impl_->timeline();
}
std::optional<Position> Stream::before_last(std::uint64_t commits) const {
  assert(impl_);
  return impl_->before_last(commits);
}
StreamInfo Stream::info() const {
  assert(impl_);
  return impl_->info();
}

std::shared_ptr<Dir> files_of(const Stream& stream) {
  return stream.impl_->files();
}

std::unique_ptr<ReaderSource> reader_source_of(const Stream& stream) {
  return stream.impl_->reader_source();
}

Stream StreamKinds::open(const std::string& address) const {
  for (const auto& [scheme, join] : joins_) {
    const auto plus = address.find(fmt::format("+{}://", scheme));
    if (plus != std::string::npos)
      return join(open(address.substr(0, plus)), address.substr(plus + 1));
  }
  const std::string scheme = scheme_of(address);
  if (scheme.empty()) return Stream(std::filesystem::path(address));
  if (const auto kind = kinds_.find(scheme); kind != kinds_.end()) return kind->second(address);
  std::string known = "directories";
  for (const auto& [name, open] : kinds_) known += fmt::format(" and {}://", name);
  refuse(address, known);
}

}  // namespace daystream
