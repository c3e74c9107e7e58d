// What a stream holds, as far as a grant goes.
#pragma once

#include <string>

#include "daystream/stream.h"
#include "serve/served_stream.h"

namespace daystream::serve {

// `granted`: a table list; no other tables are shown to a reader that may read only these. Empty:
// all.
StreamInfo info_for(const ServedStream& stream, const std::string& granted);
Manifest manifest_for(const ServedStream& stream, const std::string& granted);

}  // namespace daystream::serve
