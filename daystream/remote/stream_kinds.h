// The kinds of streams that our programs read. A new one is a line here
// (docs/developers.md#-a-kind-of-stream).
#pragma once

#include "daystream/stream.h"
#include "remote/http_stream.h"

namespace daystream::remote {

// `options`: who we are to servers. They are copied.
inline StreamKinds stream_kinds(const Options& options) {
  StreamKinds kinds;
  for (const char* scheme : {"http", "https"}) {
    kinds.add(scheme, [options](const std::string& url) { return http_stream(options, url); });
  }
  return kinds;
}

}  // namespace daystream::remote
