// Lets Reader, find_seam(), extent() and Manifest::load() read http(s):// URLs, in programs that
// are linked with this.
#pragma once

#include "remote/http_client.h"

namespace daystream::remote {

// Who we are to servers: $DAYSTREAM_CA, $DAYSTREAM_CERT, $DAYSTREAM_KEY, $DAYSTREAM_TOKEN_FILE,
// $DAYSTREAM_TOKEN.
Options options_from_environment();

// For the whole process, from now on. To be called before threads are made.
void enable(Options options = options_from_environment());
// What was enabled.
const Options& current_options();

}  // namespace daystream::remote
