// How work ends that can be taken up again where it was.
#pragma once

#include "daystream/error.h"

namespace daystream::remote {

class Stopped : public Error {
 public:
  Stopped() : Error("stopped: what was begun is not finished", "the same command goes on") {}
};

}  // namespace daystream::remote
