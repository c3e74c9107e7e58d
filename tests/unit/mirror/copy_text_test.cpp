#include "copy_text.h"

#include <catch2/catch.hpp>

#include "daystream/error.h"

using namespace deltamirror;

namespace {

std::vector<std::string> fields_of(std::string row) {
  std::vector<CopyField> fields;
  split_copy_row(row.data(), row.size(), fields);
  std::vector<std::string> out;
  for (const CopyField& field : fields)
    out.push_back(field.null ? "NULL" : std::string(field.text));
  return out;
}

}  // namespace

TEST_CASE("copy: a row falls into fields without their escapes", "[mirror][copy]") {
  using Fields = std::vector<std::string>;
  CHECK(fields_of("1\tfox\n") == Fields{"1", "fox"});
  CHECK(fields_of("\\N\t\t\\\\N\n") == Fields{"NULL", "", "\\N"});
  CHECK(fields_of("a\\tb\\nc\\\\d\\re\\bf\\fg\\vh\n") == Fields{"a\tb\nc\\d\re\bf\fg\vh"});
  CHECK(fields_of("\n") == Fields{""});
}

TEST_CASE("copy: an escape that PostgreSQL does not write is refused", "[mirror][copy]") {
  CHECK_THROWS_AS(fields_of("a\\q\n"), daystream::ProtocolError);
  CHECK_THROWS_AS(fields_of("a\\"), daystream::ProtocolError);
}
