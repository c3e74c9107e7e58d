// What libpq says of a connection string: none of it may be part of a password.
#include <catch2/catch.hpp>

#include "daystream/error.h"
#include "program/postgres.h"
#include "program/postgres_hints.h"
#include "support/cluster.h"

using namespace daystream;

namespace {

std::string words_of(const std::string& conninfo) {
  try {
    program::connect(conninfo, "test");
  } catch (const Error& e) {
    return std::string(e.what()) + e.hint();
  }
  return "connected";
}

}  // namespace

TEST_CASE("conninfo: what to do is said, to the line of pg_hba.conf", "[postgres]") {
  using program::connection_hint;
  CHECK(connection_hint("FATAL: no pg_hba.conf entry for host \"10.0.0.7\", user \"m\", database "
                        "\"prod\", no encryption")
            .find(": host \"prod\" \"m\" 10.0.0.7/32 scram-sha-256") != std::string::npos);
  CHECK(connection_hint("FATAL: no pg_hba.conf entry for host \"10.0.0.7\", user \"m\", database "
                        "\"prod\", SSL encryption")
            .find(": hostssl \"prod\" \"m\" 10.0.0.7/32 scram-sha-256") != std::string::npos);
  CHECK(connection_hint("FATAL: no pg_hba.conf entry for host \"[local]\", user \"m\", database "
                        "\"prod\", no encryption")
            .find(": local \"prod\" \"m\" scram-sha-256") != std::string::npos);
  CHECK(connection_hint("could not translate host name").find("DNS") != std::string::npos);
  CHECK(connection_hint("FATAL: unsupported startup parameter: replication").find("pooler") !=
        std::string::npos);
  // libpq's lines stay apart.
  const std::string refused = words_of("host=127.0.0.1 port=1 dbname=x");
  CAPTURE(refused);
  CHECK(refused.find("Connection refused; Is the server running") != std::string::npos);
  CHECK_FALSE(connection_hint("anything else").empty());
  CHECK(program::refusal_hint("42501", "permission denied for table fox", "m") ==
        "as its owner: GRANT SELECT ON fox TO \"m\";");
}

TEST_CASE("conninfo: no part of a password is in an error, however it was mistyped",
          "[postgres][security]") {
  const support::Cluster cluster;
  const std::string socket = cluster.socket_dir();
  // The password is hunter2-SESAME; each way a character stands in it that should be escaped.
  for (const std::string between :
       {"@", "/", ":", "?",   "#",  "%",   "%zz", " ",   "'",   "\"", "\\",  "&",    "=",
        ",", "[", "]", "@x@", "/@", "?x=", "' ",  "\" ", " = ", "@[", "@\"", "\"@\""}) {
    const std::string password = "hunter2" + between + "SESAME";
    for (const std::string& conninfo :
         {"postgresql://app:" + password + "@127.0.0.1:1/db", "postgres://app:" + password + "@/db",
          "postgresql://app:" + password + "@%2Fnowhere/db?sslmode=disable",
          "host=127.0.0.1 port=1 password=" + password + " dbname=db",
          "password='" + password + "' host=127.0.0.1 port=1",
          "host=" + socket + " user=postgres dbname=postgres password=" + password + " options=x",
          "password=" + password, "host=127.0.0.1 port=1 passwd=" + password}) {
      CAPTURE(conninfo);
      const std::string words = words_of(
          conninfo + (conninfo.find("://") != std::string::npos ? "" : " connect_timeout=2"));
      CAPTURE(words);
      CHECK(words.find("hunter2") == std::string::npos);
      CHECK(words.find("SESAME") == std::string::npos);
    }
  }
  // What helps, and is nothing secret, is still said.
  CHECK(words_of("host=" + socket + " user=postgres dbname=missing")
            .find("database \"missing\" does not exist") != std::string::npos);
  CHECK(words_of("host=127.0.0.1 port=1 dbname=x").find("\"127.0.0.1\"") != std::string::npos);
}
