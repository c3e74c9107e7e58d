// What a follower is sent: the lines of a stream as bytes, as they are or filtered.
#pragma once

#include <cstdint>
#include <memory>

#include "serve/served_stream.h"

struct evbuffer;

namespace daystream::serve {

class ByteSource {
 public:
  virtual ~ByteSource() = default;

  // Appends some of what comes next to `out`; false: at the end of what is durable, nothing was
  // appended. What was appended last before a false ends in a line's end.
  virtual bool read(evbuffer* out) = 0;
  virtual Position position() const = 0;      // a line at or before what was read last
  virtual std::uint64_t backlog_bytes() = 0;  // of the stream, not yet read
};

// The day files' own bytes, never taken apart.
class WholeSource final : public ByteSource {
 public:
  // `stream` must outlive it.
  WholeSource(ServedStream& stream, const Beginning& begin)
      : stream_(stream), cursor_(begin.cursor), position_(begin.after) {}

  bool read(evbuffer* out) override;
  Position position() const override { return position_; }
  std::uint64_t backlog_bytes() override { return stream_.backlog_bytes(cursor_); }

 private:
  ServedStream& stream_;
  Cursor cursor_;
  Position position_;
};

}  // namespace daystream::serve
