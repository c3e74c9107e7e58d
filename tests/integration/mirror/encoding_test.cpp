// Databases of other encodings: seed, replay and comparison agree to the byte.
#include <catch2/catch.hpp>

#include "pipeline.h"

using namespace support;

namespace {

struct Encoding {
  std::string name;
  std::string stored;  // how the mirror has E'h\xe9n' of that database, in hex
};

}  // namespace

TEST_CASE("encoding: LATIN1 becomes UTF-8, SQL_ASCII stays as it is, by both ways",
          "[mirror][types][integration]") {
  const auto encoding = GENERATE(Encoding{"LATIN1", "68C3A96E"}, Encoding{"SQL_ASCII", "68E96E"});
  CAPTURE(encoding.name);
  Pipeline pipeline;
  pipeline.cluster.create_database(
      "other", "TEMPLATE template0 ENCODING '" + encoding.name + "' LOCALE 'C'");
  const std::string conninfo = pipeline.cluster.conninfo("other");
  // The bytes are made by the server: what a client may send depends on its own encoding.
  const std::string word = "convert_from('\\x68e96e', '" +
                           std::string(encoding.name == "LATIN1" ? "LATIN1" : "SQL_ASCII") + "')";
  const std::string values =
      ", " + word + ", " + word + ", ARRAY[" + word + ", NULL], '\\x68e96e')";
  pipeline.cluster.execute(
      "CREATE TABLE t(id int PRIMARY KEY, v text, f char(5), a text[], b bytea);"
      "INSERT INTO t VALUES(1" +
          values,
      "other");
  Process streamer({program("deltastream"), "-d", conninfo, "-S", "other", "-D", pipeline.stream(),
                    "--create-slot"});
  REQUIRE(eventually([&] { return std::filesystem::exists(pipeline.dir / "stream/durable"); }));
  run_ok({program("deltamirror"), "seed", pipeline.mirror(), "-d", conninfo, "--daystream",
          pipeline.stream(), "--table", "t"});
  pipeline.cluster.execute("INSERT INTO t VALUES(2" + values, "other");
  const Result followed = pipeline.run_once();
  INFO(followed.err);
  REQUIRE(followed.ok());
  const std::string row = encoding.stored + "|" + encoding.stored + "2020|5B22" + encoding.stored +
                          "222C6E756C6C5D|68E96E";
  const std::string sql =
      "SELECT hex(v) || '|' || hex(f) || '|' || hex(a) || '|' || hex(b) FROM t ORDER BY id";
  CHECK(pipeline.rows(sql) == std::vector<std::string>{row, row});
  const Result verified = run({program("deltamirror"), "verify", pipeline.mirror(), "-d", conninfo,
                               "--daystream", pipeline.stream()});
  INFO(verified.out << verified.err);
  CHECK(verified.ok());
}
