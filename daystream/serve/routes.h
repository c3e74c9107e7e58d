// Which request is whose, and the answers that are whole.
#pragma once

#include <string>

#include "serve/admission.h"
#include "serve/answers.h"
#include "serve/copy_route.h"
#include "serve/fleet_route.h"
#include "serve/page.h"
#include "serve/snapshot_route.h"
#include "serve/stream_route.h"
#include "serve/streams.h"

namespace daystream::serve {

// Ownership: borrows all it is made of. Threads: the loop's one.
class Routes {
 public:
  // `fleet`: nullptr: no configuration is offered.
  Routes(const Admission& admission, Answers& answers, Streams& streams, FleetRoute* fleet,
         StreamRoute stream, SnapshotRoute snapshots, CopyRoute copies);

  // Answers, now or later. Throws HttpError where it refuses.
  void route(const Request& request);

 private:
  // `what`: status, metrics or history.
  void reply_about_all(const Request& request, const std::string& what, const Grant& grant);
  void route_stream(const Request& request, Served& stream, const std::string& what,
                    const Grant& grant);
  void reply_health(const Request& request);
  void reply_page(const Request& request) const;

  const Admission& admission_;
  Answers& answers_;
  Streams& streams_;
  FleetRoute* fleet_;
  StreamRoute stream_;
  SnapshotRoute snapshots_;
  CopyRoute copies_;
  Page page_;
};

}  // namespace daystream::serve
