// What PostgreSQL sends while it streams: replication frames, the history of its timelines; and
// places and times as people write them.
#include "streamer/server/frames.h"

#include "daystream/error.h"
#include "program/when.h"
#include "streamer/server/timeline.h"
#include "target.h"

using namespace deltastream;

namespace {

void take_frame(std::string_view message) {
  const Frame frame = parse_frame(message);
  const auto* const data = std::get_if<XLogData>(&frame);
  if (data != nullptr) fuzz::require(fuzz::lies_in(data->payload, message), "lines are lent");
}

}  // namespace

FUZZ_TARGET(frames) {
  try {
    take_frame(input);
  } catch (const daystream::ProtocolError&) {
  }
  try {
    parse_timeline_history(input);
  } catch (const daystream::ProtocolError&) {
  }
  try {
    daystream::program::parse_when("--after", std::string(input), 1'507'550'400);
  } catch (const daystream::ConfigError&) {
  }
  daystream::program::parse_span(input);
}
