// daystream cat --format=sql and --format=text: what is shown of each kind of line. That the
// statements do it again in PostgreSQL is tests/integration/tools.
#include <catch2/catch.hpp>

#include "stream_fixture.h"
#include "support/process.h"

using namespace daystream;
using namespace daystream::test;

namespace {

const std::string kDaystream = DAYSTREAM_PROGRAM;

// One transaction with these lines, and a schema line of `hens` in one before it.
struct Told : WrittenStream {
  explicit Told(const std::string& lines, const std::string& identity = "d") {
    Writer writer = this->writer();
    writer.mark(Lsn{0x1000}, {1, 1, {}});
    writer.append(fmt::format("_table\thens\t_xid\t1\t_oid\t7\t_identity\t{}\t_pkey\t{}\t_ikey\t\t"
                              "_action\tschema\tid\t1 integer not null\tname\t2 text\tj\t3 json\n",
                              identity, identity == "d" ? "1" : "") +
                  commit(1));
    writer.append(lines + commit(2));
    writer.flush();
  }
  support::Result cat(const std::string& option) const {
    return support::run({kDaystream, "cat", directory.path().string(), "--lsn", "0/1020", option});
  }
  // The statements between BEGIN and COMMIT.
  std::string sql() const {
    const std::string out = cat("--format=sql").out;
    const auto begin = out.find('\n', out.find("BEGIN;")) + 1;
    return out.substr(begin, out.rfind("COMMIT;") - begin);
  }
};

std::string hens(const std::string& rest) {
  return "_table\thens\t_xid\t2\t" + rest + "\n";
}

}  // namespace

TEST_CASE("sql: a row is found by its key, and only what is told is set", "[sql]") {
  CHECK(Told(hens("_action\tinsert\tid\t1\tname\tO'Hen\\\\")).sql() ==
        "INSERT INTO public.hens (\"id\", \"name\", \"j\") OVERRIDING SYSTEM VALUE VALUES ('1', "
        "'O''Hen\\', NULL);\n");
  // An unchanged TOAST value is in no line of an update.
  CHECK(Told(hens("_action\tupdate\tid\t1\tname\t\\N")).sql() ==
        "UPDATE public.hens SET \"name\" = NULL WHERE \"id\" = '1';\n");
  CHECK(Told(hens("_action\treplace\tid\t1") + hens("_action\tupdate\tid\t2\tname\tx")).sql() ==
        "UPDATE public.hens SET \"id\" = '2', \"name\" = 'x' WHERE \"id\" = '1';\n");
  CHECK(Told(hens("_action\tdelete\tid\t1")).sql() ==
        "DELETE FROM public.hens WHERE \"id\" = '1';\n");
}

TEST_CASE("sql: without a key, one row with all the old values", "[sql]") {
  CHECK(Told(hens("_action\tdelete\tid\t1\tname\t\\N\tj\t{}"), "f").sql() ==
        "DELETE FROM public.hens WHERE (tableoid, ctid) = (SELECT tableoid, ctid FROM public.hens "
        "WHERE \"id\" = '1' AND \"name\" IS NULL AND \"j\"::text = '{}' LIMIT 1);\n");
}

TEST_CASE("sql: a filter does not hide what a table looks like", "[sql]") {
  const auto in = [](int xid, const std::string& rest) {
    return fmt::format("_table\thens\t_xid\t{}\t{}\n", xid, rest);
  };
  const auto shape = [](const std::string& key) {
    return "_oid\t7\t_identity\td\t_pkey\t" + key +
           "\t_ikey\t\t_action\tschema\tid\t1 integer not null\tname\t2 text\tn\t3 integer";
  };
  WrittenStream stream;
  Writer writer = stream.writer();
  writer.mark(Lsn{0x1000}, {1, 1, {}});
  // In the transaction itself, as the first change after each start has it.
  writer.append(in(1, shape("1")) + in(1, "_action\tinsert\tid\t8\tname\ta\tn\t1") +
                in(1, "_action\tupdate\tid\t50\tname\tb\tn\t2") + commit(1));
  // In one of which nothing else is wanted, and the key is another from there on.
  writer.append(in(2, shape("3")) + in(2, "_action\tinsert\tid\t9\tname\tc\tn\t3") + commit(2));
  writer.append(in(3, "_action\tupdate\tid\t50\tname\td\tn\t2") + commit(3));
  writer.flush();
  const auto cat = [&](const std::vector<std::string>& filter) {
    std::vector<std::string> command{kDaystream, "cat", stream.directory.path().string(),
                                     "--format=sql"};
    command.insert(command.end(), filter.begin(), filter.end());
    return support::run(command);
  };
  for (const std::vector<std::string>& filter :
       {std::vector<std::string>{"--where", "id=50"}, {"--actions", "update"}}) {
    const support::Result result = cat(filter);
    CAPTURE(result.out, result.err);
    CHECK(result.exit.code == 0);
    CHECK(result.out.find(
              "UPDATE public.hens SET \"name\" = 'b', \"n\" = '2' WHERE \"id\" = '50';") !=
          std::string::npos);
    CHECK(result.out.find(
              "UPDATE public.hens SET \"id\" = '50', \"name\" = 'd' WHERE \"n\" = '2';") !=
          std::string::npos);
    CHECK(result.out.find("-- table") == std::string::npos);
  }
}

TEST_CASE("sql: what cannot be told is said, in the script and by the exit code", "[sql]") {
  const Told keyless(hens("_identity\tnone\t_action\tupdate\tid\t1\tname\tx") +
                         hens("_identity\tnone\t_action\tdelete"),
                     "n");
  CHECK(keyless.sql() ==
        "-- left out: 1507550400/3 update of public.hens: the table has no key\n"
        "-- left out: 1507550400/4 delete of public.hens: the table has no key\n");
  const auto result = keyless.cat("--format=sql");
  CHECK(result.exit.code == 3);
  CHECK(result.err ==
        "daystream: 2 changes could not be written as SQL: see the comments \"left out\" and "
        "\"gap\"\n"
        "HINT: give the tables a primary key, or REPLICA IDENTITY FULL\n");
}

TEST_CASE("sql: whole tables, shapes and messages", "[sql]") {
  CHECK(
      Told("_table\ta\t_xid\t2\t_action\ttruncate\n_table\ts.\"B b\"\t_xid\t2\t_action\ttruncate\n")
          .sql() == "TRUNCATE public.a, s.\"B b\";\n");
  CHECK(Told(hens("_action\trewrite")).sql() == "DELETE FROM public.hens;\n");
  CHECK(Told(hens("_oid\t7\t_action\tdrop")).sql() == "-- table public.hens was dropped\n");
  CHECK(Told("_xid\t2\t_action\tmessage\tprefix\tp\tcontent\ta\\nb\n").sql() ==
        "-- message: prefix\tp\tcontent\ta\\nb\n");
}

TEST_CASE("text: a heading a transaction, what was and what is", "[sql]") {
  const Told told(hens("_action\treplace\tid\t1") + hens("_action\tupdate\tid\t2\tname\t\\N") +
                  "_table\tcocks\t_xid\t2\t_action\tdelete\tid\t9\x1b[31m\n");
  CHECK(told.cat("--format=text").out ==
        "2017-10-09T12:00:00.000002Z  xid 2  LSN 0/1020  1507550400/6\n"
        "  hens  update    id=1→2  name=NULL\n"
        "  cocks  delete    id=9\\x1b[31m\n");
  CHECK(told.cat("--color=always").out.find("\x1b[33mupdate  \x1b[0m") != std::string::npos);
  CHECK(told.cat("--color=auto").out == told.cat("--format=tsv").out);  // not a terminal
}
