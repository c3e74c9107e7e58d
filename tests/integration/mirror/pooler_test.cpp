// Seeds, runs and comparisons through the real PgBouncer in transaction pooling.
#include <pwd.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "pipeline.h"

using namespace support;

namespace {

constexpr const char* kPgBouncer = "/usr/sbin/pgbouncer";

// In front of a cluster, with fewer connections than clients want.
class PgBouncer {
 public:
  explicit PgBouncer(const Cluster& cluster, const std::filesystem::path& folder)
      : folder_(folder) {
    std::filesystem::create_directories(folder_);
    std::ofstream(folder_ / "users") << "\"postgres\" \"\"\n";
    std::ofstream(folder_ / "pgbouncer.ini")
        << "[databases]\n* = host=" << cluster.socket_dir() << "\n[pgbouncer]\nlisten_port = 6432\n"
        << "listen_addr =\nunix_socket_dir = " << folder_.string() << "\nauth_type = trust\n"
        << "auth_file = " << (folder_ / "users").string() << "\npool_mode = transaction\n"
        << "default_pool_size = 4\nignore_startup_parameters = extra_float_digits,options\n"
        << "logfile = " << (folder_ / "log").string() << "\n";
    Texts argv = {kPgBouncer, (folder_ / "pgbouncer.ini").string()};
    if (geteuid() == 0) {  // it does not run as root
      const passwd* const user = getpwnam("postgres");
      REQUIRE(user != nullptr);
      for (const char* name : {"", "users", "pgbouncer.ini"}) {
        REQUIRE(::chown((folder_ / name).c_str(), user->pw_uid, user->pw_gid) == 0);
      }
      argv.insert(argv.begin() + 1, {"-u", "postgres"});
    }
    process_.emplace(argv);
    REQUIRE(eventually([&] { return std::filesystem::exists(folder_ / ".s.PGSQL.6432"); }));
  }
  std::string conninfo() const {
    return "host=" + folder_.string() + " port=6432 user=postgres dbname=postgres";
  }

 private:
  std::filesystem::path folder_;
  std::optional<Process> process_;
};

}  // namespace

TEST_CASE("pooler: seed, run and verify go through PgBouncer in transaction pooling",
          "[mirror][integration][pooler]") {
  if (access(kPgBouncer, X_OK) != 0) {
    WARN("PgBouncer is not installed: not tested");
    return;
  }
  Pipeline place;
  place.cluster.execute(
      "CREATE TABLE a(id int PRIMARY KEY, v text); INSERT INTO a SELECT i, repeat('x', 100) FROM "
      "generate_series(1, 20000) i; CREATE TABLE b(id int PRIMARY KEY, t timestamptz); INSERT INTO "
      "b VALUES(1, '2026-01-01 10:00+02')");
  place.start_stream();
  const PgBouncer pooler(place.cluster, place.dir / "pooler");
  const auto command = [&](const std::string& verb, const Texts& more) {
    Texts argv = {program("deltamirror"), verb,          place.mirror(), "-d",
                  pooler.conninfo(),      "--daystream", place.stream()};
    argv.insert(argv.end(), more.begin(), more.end());
    return argv;
  };
  const Result seeded = run(command("seed", {"--table", "a", "--table", "b"}));
  INFO(seeded.err);
  REQUIRE(seeded.ok());
  Process runner(command("run", {}));
  for (int round = 0; round < 5; ++round) {
    place.cluster.execute("UPDATE a SET v = v || 'y' WHERE id % 7 = " + std::to_string(round));
    const Result verified = run(command("verify", {}));
    INFO(verified.out << verified.err << runner.err());
    CHECK(verified.ok());
  }
  // A table that is copied while the mirror follows.
  const Result again = run(
      {program("deltamirror"), "reseed", place.mirror(), "-d", pooler.conninfo(), "--table", "a"});
  INFO(again.err);
  CHECK(again.ok());
  place.catch_up();
  CHECK(place.value("SELECT t FROM b") == "2026-01-01 08:00:00");
  CHECK(run(command("verify", {})).ok());
  runner.signal(SIGTERM);
  CHECK(runner.wait() == Exit{0, 0});
}
