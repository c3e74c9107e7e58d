// The kind of stream that another host serves by HTTP (serve/PROTOCOL.md).
#pragma once

#include <string>

#include "daystream/stream.h"
#include "remote/http_client.h"

namespace daystream::remote {

// Throws ConfigError where `url` is not one (Url::parse()).
Stream http_stream(const Options& options, const std::string& url);

}  // namespace daystream::remote
