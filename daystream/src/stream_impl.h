// What a kind of stream does (docs/developers.md#-a-kind-of-stream).
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "daystream/stream.h"
#include "reader_source.h"

namespace daystream {

// The questions are those of Stream. Any thread may ask, several at once.
class Stream::Impl {
 public:
  explicit Impl(std::string address) : address_(std::move(address)) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  virtual ~Impl() = default;

  const std::string& address() const noexcept { return address_; }
  virtual std::string absolute_address() const { return address_; }
  virtual std::optional<std::filesystem::path> directory() const { return std::nullopt; }
  virtual std::optional<std::string> server() const { return std::nullopt; }
  // Its files; nullptr: this kind of stream has none that can be opened.
  virtual std::shared_ptr<Dir> files() const { return nullptr; }
  virtual Manifest manifest() const = 0;
  virtual std::optional<Extent> extent() const = 0;
  virtual std::optional<Seam> find_seam(std::uint64_t xmin) const = 0;
  virtual std::optional<std::uint32_t> timeline() const = 0;
  virtual std::optional<Position> before_last(std::uint64_t commits) const = 0;
  virtual StreamInfo info() const = 0;
  // The bytes, for one Reader.
  virtual std::unique_ptr<ReaderSource> reader_source() const = 0;

 private:
  const std::string address_;
};

// What Stream::Impl::files() returns, for a caller that checks every byte of them.
std::shared_ptr<Dir> files_of(const Stream& stream);
// What Stream::Impl::reader_source() says, for a kind of stream that is made of others.
std::unique_ptr<ReaderSource> reader_source_of(const Stream& stream);

}  // namespace daystream
