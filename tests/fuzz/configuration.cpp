// A mirror's configuration: JSON with comments, against its schema.
#include "config/config.h"

#include "daystream/error.h"
#include "program/json.h"
#include "target.h"

using namespace deltamirror;

FUZZ_TARGET(configuration) {
  const std::string text(input);
  fuzz::require(daystream::program::without_comments(text).size() == text.size(),
                "what is no comment stands where it stood");
  daystream::program::parse_json(text);
  try {
    const ReadConfig read = read_config(text);
    for (const ConfigProblem& problem : read.problems) problem.text("mirror.json");
    if (!read.problems.empty()) return;
    for (const TableRequest& table : read.config.all_tables()) {
      fuzz::require(parse_wish(wish_text(table)) == table, "a wish is kept as it is");
    }
  } catch (const daystream::Error&) {
  }
}
