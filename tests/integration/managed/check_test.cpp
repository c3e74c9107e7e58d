// What `deltastream --check --source pgoutput` says of rights, to a role that has none.
#include <catch2/catch.hpp>

#include "database.h"
#include "support/process.h"
#include "support/temp_dir.h"

using namespace managed_test;

namespace {

class Check {
 public:
  explicit Check(const Database& db) : db_(db) {
    db.execute("DROP ROLE IF EXISTS streamer; CREATE ROLE streamer LOGIN REPLICATION");
  }
  ~Check() { db_.execute("DROP OWNED BY streamer; DROP ROLE streamer"); }
  Check(const Check&) = delete;
  Check& operator=(const Check&) = delete;

  // Its lines that begin with one of these words, or with trouble.
  support::Result run() const {
    return support::run({support::program("deltastream"), "--check", "-d",
                         cluster().conninfo(db_.name(), "streamer"), "--source", "pgoutput",
                         "--publication", "flood", "-S", "checked", "-D",
                         (dir_ / "daystream").string(), "--create-slot"});
  }

 private:
  const Database& db_;
  support::TempDir dir_;
};

}  // namespace

TEST_CASE("check: each right that is missing is named with what grants it", "[managed][check]") {
  Database db(false);
  const Check check(db);
  support::Result result = check.run();
  CAPTURE(result.out);
  CHECK(result.out.find("this role may not install deltaflood_managed.sql") != std::string::npos);
  CHECK(result.out.find("GRANT CREATE ON DATABASE " + db.name() + " TO streamer") !=
        std::string::npos);
  CHECK(result.exit.code == 3);

  db.execute(managed_sql());
  result = check.run();
  CAPTURE(result.out);
  CHECK(result.out.find("this role may not call deltaflood.shapes(name), deltaflood.changed(), "
                        "deltaflood.repeat_shapes(oid[]), deltaflood.trim(interval), "
                        "deltaflood.claim(name, text, text, boolean)") != std::string::npos);
  CHECK(result.out.find("As role postgres: SELECT deltaflood.grant_source('streamer')") !=
        std::string::npos);
  CHECK(result.exit.code == 3);

  db.execute("SELECT deltaflood.grant_source('streamer'), deltaflood.install('flood')");
  result = check.run();
  CAPTURE(result.out);
  CHECK(result.out.find("WARN") == std::string::npos);
  CHECK(result.exit.code == 0);

  db.execute("CREATE TABLE keyless (a int); ALTER EVENT TRIGGER deltaflood_drop ENABLE");
  result = check.run();
  CAPTURE(result.out);
  CHECK(result.out.find("deltaflood_drop is not there, or not enabled always") !=
        std::string::npos);
  CHECK(result.out.find("table public.keyless has no replica identity") != std::string::npos);
  CHECK(result.exit.code == 0);
  db.execute("SELECT deltaflood.drop_triggers()");
  CHECK(check.run().out.find("deltaflood_ddl, deltaflood_drop, deltaflood_rewrite are not there") !=
        std::string::npos);
}
