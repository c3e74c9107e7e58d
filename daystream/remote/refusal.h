// What a server that says no means for its client.
#pragma once

#include <string>

#include "daystream/error.h"
#include "remote/http_client.h"

namespace daystream::remote {

// The server's copy is still behind what was asked for: it will come. Not an error to report.
class Behind : public ConnectionLost {
 public:
  using ConnectionLost::ConnectionLost;
};

}  // namespace daystream::remote
