// The kind of stream that is on NATS JetStream.
#pragma once

#include <string>

#include "daystream/stream.h"
#include "remote/http_client.h"

namespace daystream::remote {

// `kinds`: what opens its fallback. Throws ConfigError where this program was built without
// libnats.
Stream nats_stream(const Options& options, const StreamKinds& kinds, const std::string& address);

}  // namespace daystream::remote
