// How the plugin behaves as a guest: messages, progress, slots that go on, settings of transport.
#include <catch2/catch.hpp>

#include "decoding.h"

using namespace plugin_test;

TEST_CASE("messages: chosen prefixes, transactional and not", "[plugin][message]") {
  const Source source;
  source.execute(
      "SELECT pg_logical_emit_message(true, 'my.app', E'a\\tb'),"
      "       pg_logical_emit_message(true, 'theirs', 'no')");
  source.execute("SELECT pg_logical_emit_message(false, 'my.app', '\\x00ff41'::bytea)");
  source.execute(
      "BEGIN; SELECT pg_logical_emit_message(true, 'my.app', 'undone'),"
      "pg_logical_emit_message(false, 'my.other', 'stays'); ROLLBACK");
  // A non-transactional message is not flushed by itself.
  source.execute("SELECT pg_logical_emit_message(true, 'theirs', 'no')");
  CHECK(source.peek().empty());
  const Lines lines = source.peek({{"include-messages", "my.*"}, {"include-transaction", "on"}});
  REQUIRE(lines.size() == 6);
  CHECK(normalized(lines)[0] == "_xid\t1\t_action\tmessage\tprefix\tmy.app\tcontent\ta\\tb");
  CHECK(Fields(lines[1]).action == "commit");
  CHECK(lines[2] == "_xid\t0\t_action\tmessage\tprefix\tmy.app\tcontent\t\\x00\\xffA");
  CHECK(Fields(lines[3]).action == "commit");
  CHECK(Fields(lines[3]).head("_xid") == "0");
  CHECK(Fields(lines[4]).column("content") == "stays");
}

TEST_CASE("transport: a batch is one message, the text the same", "[plugin][transport]") {
  const Source source;
  source.execute("CREATE TABLE t (a int PRIMARY KEY)");
  source.execute("INSERT INTO t SELECT generate_series(1, 1000)");
  const auto messages = [&](const std::string& batch_bytes) {
    return source.scalar(
        "SELECT count(*) || ' ' || max(length(data)) FROM "
        "pg_logical_slot_peek_changes('" +
        source.database() + "', NULL, NULL, 'include-transaction', 'on', 'batch-bytes', '" +
        batch_bytes + "')");
  };
  CHECK(messages("0").rfind("1001 ", 0) == 0);
  CHECK(messages("10000000").rfind("1 ", 0) == 0);
  const std::string some = messages("8192");
  const int count = std::stoi(some);
  const int longest = std::stoi(some.substr(some.find(' ')));
  CHECK(count >= 3);
  CHECK(count <= 8);
  CHECK(longest < 8192 + 100);
  const auto rows = [&](const Options& options) { return source.receive(options); };
  CHECK(rows({{"batch-bytes", "100"}}) == rows({}));
}

TEST_CASE("transport: a large row goes beside the batch, in order", "[plugin][transport]") {
  const Source source;
  source.execute("CREATE TABLE t (a int PRIMARY KEY, b text)");
  source.execute("INSERT INTO t VALUES (1, 'x'), (2, repeat(E'y\\n', 3000000)), (3, 'z')");
  const Lines lines = source.receive({{"batch-bytes", "65536"}, {"include-transaction", "on"}});
  REQUIRE(lines.size() == 4);
  CHECK(Fields(lines[0]).column("a") == "1");
  CHECK(Fields(lines[1]).column("b")->size() == 9000000);
  CHECK(Fields(lines[2]).column("a") == "3");
  CHECK(Fields(lines[3]).action == "commit");
}

TEST_CASE("guest: nothing stays in the session after the SQL functions", "[plugin][memory]") {
  const Source source;
  source.execute("CREATE TABLE t (a int PRIMARY KEY, b text); INSERT INTO t VALUES (1, 'x')");
  auto session = source.session();
  const std::string peek = "SELECT count(*) FROM pg_logical_slot_peek_changes('" +
                           source.database() + "', NULL, NULL, 'include-schema', 'on')";
  const std::string contexts =
      "SELECT count(*) FROM pg_backend_memory_contexts WHERE name LIKE 'deltaflood%'";
  for (int i = 0; i < 50; ++i) CHECK(session.scalar(peek) == "2");
  CHECK(session.scalar(contexts) == "0");
  // Invalidations that come after a context is gone find nothing to mark.
  session.execute("ALTER TABLE t ADD COLUMN c int");
  CHECK(session.scalar(peek) == "3");
}
