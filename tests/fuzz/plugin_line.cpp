// What the plugin does with bytes of a database, without a server. Its lists of names are those of
// the target table_list.
#include <cstring>
#include <string>

#include "daystream/line.h"
#include "grammar/escape.h"
#include "plugin/format.h"
#include "target.h"

FUZZ_TARGET(plugin_line) {
  std::string out(grammar::escaped_size(input) + grammar::kEscapeSlack, '\0');
  const std::size_t size = grammar::escape_into(out.data(), input);
  fuzz::require(size == grammar::escaped_size(input), "the size is known before");
  out.resize(size);
  fuzz::require(daystream::unescape(out) == input, "what was escaped comes back");
  fuzz::require(grammar::utf8_length(input) <= input.size(), "a character is what is there");

  std::int64_t number = 0;
  std::memcpy(&number, input.data(), std::min(input.size(), sizeof number));
  char text[64];
  fuzz::require(std::string(text, deltaflood::format_int(text, number)) == std::to_string(number),
                "an integer is printed as one");
  for (auto* const format : {deltaflood::format_time, deltaflood::format_timestamp}) {
    fuzz::require(format(text, number) < sizeof text, "a time fits its room");
  }
  fuzz::require(deltaflood::format_date(text, static_cast<std::int32_t>(number)) < sizeof text,
                "a date fits its room");
}
