// What earlier releases have left: files of the first format are gone on with forever.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "sqlite/sqlite.h"
#include "support/process.h"
#include "support/temp_dir.h"

using support::program;
using support::run;
using support::run_ok;

namespace {

// A mirror of format 1 that the daystream of format 1 beside it is ahead of, as a release left
// them.
struct Old {
  Old() {
    const std::filesystem::path golden = std::string(SOURCE_ROOT) + "/tests/golden/mirror-1";
    std::filesystem::copy(golden / "daystream", stream);
    run_ok({"zstd", "-qd", (golden / "mirror.db.zst").string(), "-o", mirror});
  }
  support::Result follow() const {
    return run({program("deltamirror"), "run", mirror, "--daystream", stream, "--once"});
  }
  std::string rows(const std::string& sql) const {
    return run_ok({"sqlite3", "-readonly", mirror, sql});
  }

  support::TempDir dir;
  const std::string stream = (dir / "stream").string();
  const std::string mirror = (dir / "mirror.db").string();
};

}  // namespace

TEST_CASE("upgrade: a mirror of the first format goes on where it was", "[mirror][upgrade]") {
  const Old old;
  CHECK(old.rows("SELECT note FROM flights WHERE id < 3") == "before\nxx\n");
  const auto followed = old.follow();
  CAPTURE(followed.err);
  REQUIRE(followed.ok());
  // An update, a delete, an insert, and a column that came.
  CHECK(old.rows("SELECT id, origin, fare, miles, at, late, hex(tag), stops, note, gate FROM "
                 "flights ORDER BY id") ==
        "1|AP1|1.25|12345678901234567890.5|2026-01-02 03:04:05.678|0|00FF|[1,null]|before|A1\n"
        "2|AP2|99.99|24691357802469135781.0|2026-01-02 03:04:05.678|1|00FF|[2,null]|after|A1\n"
        "4|AP4|5.0|49382715604938271562.0|2026-01-02 03:04:05.678|1|00FF|[4,null]|xxxx|A1\n"
        "5|AP5|6.25|61728394506172839452.5|2026-01-02 03:04:05.678|0|00FF|[5,null]|xxxxx|A1\n"
        "6|NEW||||||||B2\n");
  CHECK(old.rows("SELECT miles_num > 5e19 FROM flights WHERE id IN (2, 5) ORDER BY id") ==
        "0\n1\n");
  CHECK(old.rows("SELECT _action, name, rank FROM crews ORDER BY _c, _s, name") ==
        "seed|ann|1\nseed|bob|2\nupdate|ann|3\ndelete|bob|\n");
  CHECK(old.rows("SELECT a, b FROM seen ORDER BY a") == "1|x\n1|x\n3|y\n");
  CHECK(old.rows("SELECT id FROM dear ORDER BY id") == "2\n4\n5\n");
  CHECK(old.rows("EXPLAIN QUERY PLAN SELECT * FROM flights WHERE origin = 'NEW'")
            .find("flights_origin_idx") != std::string::npos);
  CHECK(old.rows("SELECT count(*) FROM _deltamirror_status WHERE state = 'following'") == "3\n");
  CHECK(run({program("daystream"), "verify", old.stream}).ok());
  // It can be copied, and the copy be gone on with.
  const auto copied =
      run({program("deltamirror"), "snapshot", old.mirror, (old.dir / "copies").string()});
  CAPTURE(copied.err);
  CHECK(copied.ok());
}

TEST_CASE("upgrade: what a newer release has written is refused, and left as it is",
          "[mirror][upgrade]") {
  const Old old;
  SECTION("a mirror") {
    deltamirror::Database(old.mirror, deltamirror::Database::Mode::ReadWrite)
        .exec("UPDATE _deltamirror_format SET version = 2");
    const auto refused = old.follow();
    CAPTURE(refused.err);
    CHECK(refused.exit.code == 3);
    CHECK(refused.err.find("has format 2, this program knows 1\nHINT: ") != std::string::npos);
    CHECK(old.rows("SELECT version FROM _deltamirror_format") == "2\n");
  }
  SECTION("a daystream") {
    const std::string file = old.stream + "/daystream.json";
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    std::ofstream(file) << std::regex_replace(text.str(), std::regex("\"format\": 1"),
                                              "\"format\": 2");
    for (const auto& refused : {old.follow(), run({program("daystream"), "cat", old.stream}),
                                run({program("daystream"), "serve", old.stream, "--check"})}) {
      CAPTURE(refused.err);
      CHECK(refused.exit.code == 3);
      const std::string said = refused.out + refused.err;
      CHECK(said.find("has format 2, this program reads format 1") != std::string::npos);
      CHECK(said.find("HINT: ") != std::string::npos);
    }
  }
}
