// What a server answers, as its client takes it: refusals, beats, lines cut anywhere.
#include <algorithm>

#include "daystream/error.h"
#include "remote/beats.h"
#include "remote/http_client.h"
#include "remote/line_runs.h"
#include "target.h"

using namespace daystream;
using namespace daystream::remote;

namespace {

void refuse(int status, std::string_view body) {
  try {
    throw_refusal("http://host/name", {status, {}, std::string(body)});
  } catch (const Error& e) {
    const std::string said = e.what() + e.hint();
    fuzz::require(said.find('\x1b') == std::string::npos, "a refusal steers no terminal");
  }
}

// Fed in pieces of `size`.
std::string without_beats(std::string_view bytes, std::size_t size) {
  Beats beats;
  std::string out;
  for (std::size_t at = 0; at < bytes.size(); at += size) beats.strip(bytes.substr(at, size), out);
  return out;
}

std::string runs_of(std::string_view bytes, std::size_t size) {
  LineRuns runs;
  std::string out;
  try {
    for (std::size_t at = 0; at < bytes.size(); at += size) {
      runs.feed(bytes.substr(at, size), [&](std::int64_t, std::string_view run) { out += run; });
    }
  } catch (const ProtocolError&) {
    return "no lines";
  }
  return out;
}

}  // namespace

FUZZ_TARGET(http_response) {
  for (const int status : {400, 401, 403, 404, 409, 410, 416, 429, 500, 503}) refuse(status, input);
  const std::size_t size = std::max<std::size_t>(1, input.size() / 3);
  fuzz::require(without_beats(input, input.size() + 1) == without_beats(input, size),
                "beats are found wherever the bytes are cut");
  runs_of(input, input.size() + 1);
  runs_of(input, size);
  try {
    Url::is_local(input);
    Url::parse(std::string(input));
  } catch (const Error&) {
  }
}
