// The kinds of streams that our programs read. A new one is a line here
// (docs/developers.md#-a-kind-of-stream).
#pragma once

#include "daystream/stream.h"
#include "remote/archive_stream.h"
#include "remote/http_stream.h"
#include "remote/joined_stream.h"
#ifdef DELTAFLOOD_NATS
#include "remote/nats_stream.h"
#endif

namespace daystream::remote {

// `options`: who we are to servers. They are copied.
inline StreamKinds stream_kinds(const Options& options) {
  StreamKinds kinds;
  for (const char* scheme : {"http", "https"}) {
    kinds.add(scheme, [options](const std::string& url) { return http_stream(options, url); });
  }
  kinds.add("s3", archive_stream);
  kinds.add_behind("s3", joined_stream);
#ifdef DELTAFLOOD_NATS
  // A copy of it, for what is missing there, is of any kind above.
  kinds.add("nats", [options, kinds](const std::string& address) {
    return nats_stream(options, kinds, address);
  });
#endif
  return kinds;
}

}  // namespace daystream::remote
