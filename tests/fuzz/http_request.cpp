// A request's target and headers, as far as they are ours to understand: libevent has the rest.
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>

#include <memory>

#include "serve/admission.h"
#include "serve/request.h"
#include "serve/zstd_frame.h"
#include "target.h"

using namespace daystream::serve;

namespace {

struct Freed {
  void operator()(evhttp_request* request) const noexcept { evhttp_request_free(request); }
};

// nullptr: libevent takes no such target.
std::unique_ptr<evhttp_request, Freed> request_for(const std::string& target) {
  std::unique_ptr<evhttp_request, Freed> request(evhttp_request_new(nullptr, nullptr));
  request->uri_elems = evhttp_uri_parse_with_flags(target.c_str(), EVHTTP_URI_NONCONFORMANT);
  return request->uri_elems == nullptr ? nullptr : std::move(request);
}

void ask(const Request& request) {
  for (const auto* const name : {"after", "line"}) request.position(name);
  request.lsn("lsn");
  request.crc("crc");
  request.number("beat");
  request.allow({"after", "line", "lsn", "crc", "beat"});
}

}  // namespace

FUZZ_TARGET(http_request) {
  const std::string text(input);
  const std::string shown = plain(text);
  fuzz::require(shown.find_first_of("\r\n\x1b\x7f") == std::string::npos,
                "what a peer says steers no terminal");
  fuzz::require(fuzz::lies_in(host_of(input), input), "a host is part of what names it");
  is_own_name(host_of(input));
  accepts_zstd(input);
  const auto raw = request_for(text.c_str());
  if (raw == nullptr) return;
  try {
    ask(Request(raw.get()));
  } catch (const HttpError& e) {
    fuzz::require(e.status() == 400, "what cannot be understood is a bad request");
  }
}
