// What is left of a stream for a reader of some tables: the same, wherever its bytes are cut.
#include "serve/line_filter.h"

#include <algorithm>

#include "daystream/error.h"
#include "target.h"

using namespace daystream;
using namespace daystream::serve;

namespace {

std::string left_of(std::string_view bytes, std::size_t size) {
  LineFilter filter(TableFilter("fox,o*", "fox,hens"), Position::begin(), std::nullopt, false);
  std::string out;
  try {
    for (std::size_t at = 0; at < bytes.size(); at += size) {
      filter.feed(bytes.substr(at, size), out);
    }
    filter.end(out);
  } catch (const Error&) {
    return "no lines";
  }
  return out;
}

}  // namespace

FUZZ_TARGET(line_filter) {
  const std::string whole = left_of(input, input.size() + 1);
  fuzz::require(whole.find("_table\towls\t") == std::string::npos, "nothing of others is left");
  const std::string cut = left_of(input, std::max<std::size_t>(1, input.size() / 3));
  fuzz::require(whole == cut, "what is left does not depend on where bytes are cut");
}
