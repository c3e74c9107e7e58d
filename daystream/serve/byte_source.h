// What a follower is sent: the lines of a stream as bytes, as they are or filtered.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "serve/line_filter.h"
#include "serve/served_stream.h"

struct evbuffer;

namespace daystream::serve {

enum class Encoding { None, Zstd };

class ByteSource {
 public:
  virtual ~ByteSource() = default;

  // Appends some of what comes next to `out`, or reads on without finding any. False: the end of
  // what is durable is reached; then the last bytes that were appended end a line.
  virtual bool read(evbuffer* out) = 0;
  // To be called when reads have appended nothing for long and the end is not reached: appends a
  // "still working" beat.
  virtual void tell_progress(evbuffer*) {}
  virtual Position position() const = 0;      // a line at or before what was read last
  virtual std::uint64_t backlog_bytes() = 0;  // of the stream, not yet read
};

// The day files' own bytes, never taken apart.
class WholeSource final : public ByteSource {
 public:
  // `stream` must outlive it.
  WholeSource(ServedStream& stream, const Beginning& begin, Encoding encoding)
      : stream_(stream), cursor_(begin.cursor), position_(begin.after), encoding_(encoding) {}

  bool read(evbuffer* out) override;
  Position position() const override { return position_; }
  std::uint64_t backlog_bytes() override { return stream_.backlog_bytes(cursor_); }

 private:
  void look_for_position(std::string_view text);

  ServedStream& stream_;
  Cursor cursor_;
  Position position_;
  Encoding encoding_;
};

// Lines of some tables. They are gathered and cut by their own sizes: where the blocks of the files
// end, the bytes of others would be seen to lie between.
class FilteredSource final : public ByteSource {
 public:
  // `stream` must outlive it.
  FilteredSource(ServedStream& stream, const Beginning& begin, LineFilter filter, Encoding encoding)
      : stream_(stream), cursor_(begin.cursor), filter_(std::move(filter)), encoding_(encoding) {}

  bool read(evbuffer* out) override;
  void tell_progress(evbuffer* out) override;
  Position position() const override { return filter_.position(); }
  std::uint64_t backlog_bytes() override { return stream_.backlog_bytes(cursor_); }

 private:
  ServedStream& stream_;
  Cursor cursor_;
  void send(std::size_t size, evbuffer* out);

  LineFilter filter_;
  Encoding encoding_;
  std::string left_;  // not yet sent
};

// "You have all there is", and "I read on, but there is nothing for you yet" (PROTOCOL.md,
// "Beats").
constexpr std::string_view kTailBeat = "\n";
constexpr std::string_view kWorkBeat = "\t\n";

// Appends `text` to `out` as `encoding` has it.
void append_text(evbuffer* out, std::string_view text, Encoding encoding);

}  // namespace daystream::serve
