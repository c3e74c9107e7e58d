// daystream log: the history of one row, whatever tells its old self.
#include <catch2/catch.hpp>

#include "stream_fixture.h"
#include "support/process.h"

using namespace daystream;
using namespace daystream::test;

namespace {

// Transactions 1, 2, … with these lines of `hens`, the first of which is its schema line.
struct Coop : WrittenStream {
  Coop(const std::string& identity, const std::string& keys,
       const std::vector<std::string>& lines) {
    Writer writer = this->writer();
    writer.mark(Lsn{0x1000}, {1, 1, {}});
    writer.append("_table\thens\t_xid\t1\t_oid\t7\t_identity\t" + identity + "\t" + keys +
                  "\t_action\tschema\tid\t1 integer not null\tcode\t2 text not null\tegg\t3 "
                  "text\n" +
                  commit(1));
    int number = 1;
    for (const std::string& text : lines) {
      ++number;
      std::string told;
      for (std::size_t at = 0; at < text.size();) {
        const auto end = text.find('|', at);
        told +=
            fmt::format("_table\thens\t_xid\t{}\t_action\t{}\n", number, text.substr(at, end - at));
        at = end == std::string::npos ? text.size() : end + 1;
      }
      writer.append(told + commit(number));
    }
    writer.flush();
  }
  // What is told of it, without times: "xid verb: column old → new, …".
  std::vector<std::string> log(const std::string& key) const {
    const std::string out = support::run_ok(
        {DAYSTREAM_PROGRAM, "log", directory.path().string(), "--table", "hens", "--key", key});
    std::vector<std::string> told;
    for (std::size_t at = 0; at < out.size();) {
      const auto end = out.find('\n', at);
      const std::string line = out.substr(at, end - at);
      at = end + 1;
      if (line.starts_with("    ")) {
        told.back() += (told.back().ends_with(":") ? " " : ", ") + line.substr(4);
      } else {
        const auto xid = line.find("xid ") + 4;
        told.push_back(line.substr(xid, line.find(' ', xid) - xid) + " " +
                       line.substr(line.rfind(' ') + 1) + ":");
      }
    }
    return told;
  }
};

using Told = std::vector<std::string>;

}  // namespace

TEST_CASE("log: by the primary key, through a change of it", "[log]") {
  const Coop coop("d", "_pkey\t1\t_ikey\t",
                  {"insert\tid\t1\tcode\ta", "insert\tid\t12\tcode\tb",
                   // egg is unchanged, and too large to be in the log
                   "update\tid\t1\tcode\tc", "replace\tid\t1|update\tid\t5\tcode\tc\tegg\tx",
                   "update\tid\t5\tcode\td\tegg\tx", "delete\tid\t5", "insert\tid\t1\tcode\tz"});
  CHECK(coop.log("1") == Told{"2 insert: code  → a, id  → 1", "4 update: code  a → c",
                              "5 update: egg  \\N → x, id  1 → 5", "6 update: code  c → d",
                              "7 delete: code  d →, egg  x →, id  5 →",
                              "8 insert: code  → z, id  → 1"});
}

TEST_CASE("log: under REPLICA IDENTITY FULL and by an index, the old row names it", "[log]") {
  const Coop full("f", "_pkey\t1\t_ikey\t",
                  {"insert\tid\t1\tcode\ta\tegg\tw",
                   "replace\tid\t1\tcode\ta\tegg\tw|update\tid\t1\tcode\tb\tegg\tw",
                   "delete\tid\t1\tcode\tb\tegg\tw"});
  CHECK(full.log("id=1") == Told{"2 insert: code  → a, egg  → w, id  → 1", "3 update: code  a → b",
                                 "4 delete: code  b →, egg  w →, id  1 →"});
  const Coop index(
      "i", "_pkey\t1\t_ikey\t2",
      {"insert\tid\t1\tcode\ta", "insert\tid\t2\tcode\tb",
       "replace\tcode\ta|update\tid\t1\tcode\tc\tegg\tx", "delete\tcode\tb", "delete\tcode\tc"});
  CHECK(index.log("id=1") == Told{"2 insert: code  → a, id  → 1",
                                  "4 update: code  a → c, egg  \\N → x",
                                  "6 delete: code  c →, egg  x →, id  1 →"});
}

TEST_CASE("log: what befalls the whole table befalls the row", "[log]") {
  const Coop coop("d", "_pkey\t1\t_ikey\t",
                  {"insert\tid\t1\tcode\ta", "truncate", "insert\tid\t1\tcode\tb",
                   // Told again: the same row is not news, another value is.
                   "rewrite|insert\tid\t1\tcode\tb", "rewrite|insert\tid\t1\tcode\tB", "drop"});
  CHECK(coop.log("1") == Told{"2 insert: code  → a, id  → 1", "3 truncate:",
                              "4 insert: code  → b, id  → 1", "6 rewrite: code  b → B", "7 drop:"});
}

TEST_CASE("log: a key that a table got after its first rows tells them too", "[log]") {
  Coop coop("d", "_pkey\t\t_ikey\t", {"insert\tid\t1\tcode\ta"});
  {
    Writer writer = coop.writer();
    writer.append(
        "_table\thens\t_xid\t9\t_oid\t7\t_identity\td\t_pkey\t1\t_ikey\t\t_action\tschema\tid\t1 "
        "integer not null\tcode\t2 text not null\tegg\t3 text\n" +
        commit(9));
    writer.flush();
  }
  CHECK(coop.log("1") == Told{"2 insert: code  → a, id  → 1"});
}

TEST_CASE("log: a value is of the key that the table has at last", "[log]") {
  Coop coop("d", "_pkey\t1\t_ikey\t",
            {"insert\tid\t1\tcode\ta", "insert\tid\t2\tcode\tb", "update\tid\t1\tcode\tc"});
  {
    Writer writer = coop.writer();
    writer.append(
        "_table\thens\t_xid\t9\t_oid\t7\t_identity\td\t_pkey\t2\t_ikey\t\t_action\tschema\tid\t1 "
        "integer not null\tcode\t2 text not null\tegg\t3 text\n" +
        commit(9));
    writer.append("_table\thens\t_xid\t10\t_action\tdelete\tcode\tc\n" + commit(10));
    writer.flush();
  }
  CHECK(coop.log("b") == Told{"3 insert: code  → b, id  → 2"});
  // By its name it is followed from key to key.
  CHECK(coop.log("id=1") == Told{"2 insert: code  → a, id  → 1", "4 update: code  a → c",
                                 "10 delete: code  c →, id  1 →"});
}

TEST_CASE("reader: lines that are looked for are found, in memory and beyond", "[reader][find]") {
  const int rows = GENERATE(3, 40'000);  // the latter is read again from the file
  WrittenStream stream;
  {
    Writer writer = stream.writer();
    writer.mark(Lsn{0x1000}, {1, 1, {}});
    for (int n = 0; n < rows; ++n) writer.append(row(1, n));
    writer.append(commit(1));
    writer.flush();
  }
  Reader reader = stream.reader();
  reader.next();
  Transaction* transaction = reader.next();
  REQUIRE(transaction != nullptr);
  CHECK(transaction->text().empty() == (rows > 3));
  for (const std::string digit : {"2", "777"}) {
    CAPTURE(digit);
    std::vector<std::string> wanted;
    transaction->rewind();
    for (Line line; transaction->next_line(line);) {
      if (line.body.ends_with("\tb\t" + digit)) wanted.emplace_back(line.whole);
    }
    std::vector<std::string> found;
    transaction->rewind();
    const Transaction::Find find = [&](std::string_view lines) {
      const auto at = lines.find("\tb\t" + digit + "\n");
      return at;
    };
    for (Line line; transaction->next_line_where(find, line);) {
      found.emplace_back(line.whole);
      CHECK(line.whole.starts_with(
          fmt::format("_c\t{}\t_s\t{}\t", line.position.c, line.position.s)));
    }
    CHECK(found == wanted);
    CHECK(found.size() == (std::stoi(digit) < rows ? 1 : 0));
  }
}
