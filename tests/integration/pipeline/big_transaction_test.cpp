// One transaction larger than anyone should have in memory.
#include <catch2/catch.hpp>
#include <cstdlib>

#include "pipeline.h"

using namespace pipeline;

TEST_CASE("pipeline: a huge transaction passes in bounded memory", "[pipeline][big]") {
  const char* given = std::getenv("PIPELINE_ROWS");
  const std::string rows = given != nullptr ? given : "300000";
  Pipeline p;
  p.execute("CREATE TABLE big (id bigint PRIMARY KEY, number int, word text)");
  p.start_stream();
  p.seed({"big"});
  p.start_mirror();
  p.execute("INSERT INTO big SELECT i, i % 1000, md5(i::text) FROM generate_series(1, " + rows +
            ") i");
  // One transaction is there as a whole or not at all.
  REQUIRE(support::eventually(std::chrono::hours{1}, [&] {
    p.expect_running();
    return sqlite_rows(p.mirror(), "(SELECT count(*) AS n FROM big)", "n")[0][0] != "0";
  }));
  constexpr std::size_t kMiB = 1024 * 1024;
  CHECK(p.stream().peak_resident_bytes() < 64 * kMiB);
  CHECK(p.mirror_process().peak_resident_bytes() < 256 * kMiB);
  const std::string sums = "count(*), sum(id), sum(number), sum(length(word)), max(word)";
  CHECK(sqlite_rows(p.mirror(), "(SELECT " + sums + " FROM big)", "1") ==
        postgres_rows_of(p, "SELECT " + sums + " FROM big"));
}
