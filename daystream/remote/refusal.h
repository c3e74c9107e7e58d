// What the refusal of a server means for its client.
#pragma once

#include <string>

#include "daystream/error.h"
#include "remote/http_client.h"

namespace daystream::remote {

// The server's copy is still behind what was asked for, which will come. This is no error to
// report.
class Behind : public ConnectionLost {
 public:
  using ConnectionLost::ConnectionLost;
};

}  // namespace daystream::remote
