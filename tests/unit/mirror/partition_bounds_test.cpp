#include "seed/partition_bounds.h"

#include <catch2/catch.hpp>

using deltamirror::as_where;

TEST_CASE("partition bounds: a constraint is written as a where", "[mirror][partition]") {
  CHECK(as_where("((id IS NOT NULL) AND (id >= '100'::bigint) AND (id < '200'::bigint))") ==
        "((id IS NOT NULL) AND (id >= '100') AND (id < '200'))");
  CHECK(as_where("(t >= '2026-01-01 00:00:00+00'::timestamp with time zone)") ==
        "(t >= '2026-01-01 00:00:00')");
  CHECK(as_where("((k IS NULL) OR (k = ANY (ARRAY['it''s'::text, 'a::b)'::text])))") ==
        "((k IS NULL) OR (k IN ('it''s', 'a::b)')))");
  CHECK(as_where("(\"a::b\" = 1)") == "(\"a::b\" = 1)");
}
