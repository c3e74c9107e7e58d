// pgoutput's messages, made by hand, into deltaflood lines.
#include <catch2/catch.hpp>
#include <random>

#include "daystream/error.h"
#include "daystream/line.h"
#include "pgoutput/decoder.h"
#include "pgoutput/shape_log.h"
#include "support/temp_dir.h"

using namespace deltastream::pgoutput;
using daystream::Lsn;
using daystream::ProtocolError;

namespace {

std::string number(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i) & 0xff);
  return out;
}
std::string int64(std::uint64_t value) {
  return number(value, 8);
}
std::string int32(std::uint64_t value) {
  return number(value, 4);
}
std::string int16(std::uint64_t value) {
  return number(value, 2);
}
std::string zero(const std::string& text) {
  return text + '\0';
}

// A value of a row: as text, or one of these.
const std::string kNull = "\1n";
const std::string kUnchanged = "\1u";
using Values = std::vector<std::string>;

std::string tuple(const Values& values) {
  std::string out = int16(values.size());
  for (const std::string& value : values) {
    out +=
        value == kNull || value == kUnchanged ? value.substr(1) : "t" + int32(value.size()) + value;
  }
  return out;
}

// 2017-10-09 00:00:00.184022, as PostgreSQL counts.
constexpr std::uint64_t kTime = (1507507200ULL - 946684800ULL) * 1'000'000 + 184022;

std::string begin(std::uint32_t xid) {
  return "B" + int64(0x100) + int64(kTime) + int32(xid);
}
std::string commit(std::uint64_t end) {
  return std::string("C") + '\0' + int64(end - 8) + int64(end) + int64(kTime);
}
struct Column {
  std::string name;
  std::uint32_t type = 25;
  bool key = false;
};
// The messages of changes; with a (sub)transaction's id, as between S and E.
class Changes {
 public:
  explicit Changes(std::uint32_t xid = 0) : head_(xid == 0 ? "" : int32(xid)) {}
  std::string relation(std::uint32_t oid, const std::string& schema, const std::string& name,
                       const std::vector<Column>& columns, char identity = 'd') const {
    std::string out = "R" + head_ + int32(oid) + zero(schema) + zero(name) + identity;
    out += int16(columns.size());
    for (const Column& column : columns) {
      out += static_cast<char>(column.key ? 1 : 0);
      out += zero(column.name) + int32(column.type) + int32(0xffffffff);
    }
    return out;
  }
  std::string insert(std::uint32_t oid, const Values& row) const {
    return "I" + head_ + int32(oid) + "N" + tuple(row);
  }
  std::string update(std::uint32_t oid, const Values& row) const {
    return "U" + head_ + int32(oid) + "N" + tuple(row);
  }
  std::string update(std::uint32_t oid, char old, const Values& before, const Values& row) const {
    return "U" + head_ + int32(oid) + old + tuple(before) + "N" + tuple(row);
  }
  std::string erase(std::uint32_t oid, char old, const Values& row) const {
    return "D" + head_ + int32(oid) + old + tuple(row);
  }
  std::string truncate(const std::vector<std::uint32_t>& oids) const {
    std::string out = "T" + head_ + int32(oids.size()) + '\0';
    for (const std::uint32_t oid : oids) out += int32(oid);
    return out;
  }
  std::string message(const std::string& prefix, const std::string& content) const {
    return "M" + head_ + '\1' + int64(0) + zero(prefix) + int32(content.size()) + content;
  }
  std::string ddl_table() const {
    return relation(99, "deltaflood", "ddl",
                    {{"id", 20, true}, {"xid", 5069}, {"relid", 26}, {"kind"}, {"shape", 3802}});
  }
  std::string ddl(std::uint32_t xid, const std::string& relid, const std::string& kind,
                  const std::string& shape = kNull) const {
    return insert(99, {"1", std::to_string(xid), relid, kind, shape});
  }

 private:
  std::string head_;
};
const Changes kWhole;

std::string stream_start(std::uint32_t xid) {
  return "S" + int32(xid) + '\1';
}
const std::string kStreamStop = "E";
std::string stream_commit(std::uint32_t xid, std::uint64_t end) {
  return "c" + int32(xid) + '\0' + int64(end - 8) + int64(end) + int64(kTime);
}
std::string stream_abort(std::uint32_t xid, std::uint32_t sub) {
  return "A" + int32(xid) + int32(sub);
}

// A table with key a and a column b, as deltaflood.ddl tells it.
std::string shape_of(std::uint32_t oid, const std::string& name, const std::string& b = "b",
                     const std::string& more = "") {
  return R"({"v": 1, "oid": )" + std::to_string(oid) + R"(, "schema": "public", "name": ")" + name +
         R"(", "table": ")" + name + R"(", "kind": "r", "persistence": "p", "identity": "d",
    "pkey": [1], "ikey": [1], "publications": [{"name": "flood", "actions": "iudt",
    "via_root": false}],
    "columns": [{"n": 1, "name": "a", "type": "text", "oid": 25, "mod": -1, "not_null": true},
                {"n": 2, "name": ")" +
         b + R"(", "type": "text", "oid": 25, "mod": -1}])" + more + "}";
}
std::string zzz(const Changes& changes = kWhole) {
  return changes.relation(16390, "public", "zzz", {{"a", 25, true}, {"b"}});
}

class Kept final : public ShapeKeeper {
 public:
  void keep(Lsn lsn, const std::vector<ShapeRow>& rows) override {
    for (const ShapeRow& row : rows) {
      kept.push_back(lsn.text() + " " + std::to_string(row.relation) + " " + row.kind);
    }
  }
  std::vector<std::string> kept;
};

struct Session {
  explicit Session(const std::vector<ShapeRow>& known = {{16390, "shape", shape_of(16390, "zzz")}},
                   std::uint64_t next = 88628920)
      : spool(temp.path() / ".spool"), decoder(spool, keeper, "flood", known, next) {}

  // The lines that these messages become.
  std::vector<std::string> lines(const std::vector<std::string>& messages) {
    std::string all;
    for (const std::string& message : messages) {
      decoder.take(message);
      while (decoder.busy()) decoder.go_on(64);
      if (decoder.lines().empty()) continue;
      all += decoder.lines() + '\n';
      decoder.clear_lines();
    }
    std::vector<std::string> out;
    for (std::size_t at = 0; at < all.size();) {
      const std::size_t end = all.find('\n', at);
      std::string line = all.substr(at, end - at);
      daystream::parse_change(line);
      std::replace(line.begin(), line.end(), '\t', ' ');
      out.push_back(line);
      at = end + 1;
    }
    return out;
  }

  support::TempDir temp;
  Kept keeper;
  Spool spool;
  Decoder decoder;
};
using Lines = std::vector<std::string>;

const std::string kSchemaLine =
    "_table zzz _xid 700 _oid 16390 _identity d _pkey 1 _ikey 1 _action schema a 1 text not null b "
    "2 text";
std::string commit_line(std::uint32_t xid, const std::string& lsn, std::uint64_t next) {
  return "_xid " + std::to_string(xid) + " _lsn " + lsn + " _next " + std::to_string(next) +
         " _time 1507507200.184022 _action commit";
}

}  // namespace

TEST_CASE("pgoutput: rows become the plugin's lines", "[pgoutput]") {
  Session session;
  CHECK(session.lines({begin(88628920), zzz(), kWhole.insert(16390, {"fox\t54", kNull}),
                       kWhole.update(16390, {"fox54", kUnchanged}),
                       kWhole.update(16390, {"fox54", kNull}),
                       kWhole.update(16390, 'K', {"fox54", kNull}, {"fox11", "hen93"}),
                       kWhole.erase(16390, 'K', {"fox11", kNull}), kWhole.truncate({16390}),
                       commit(0x17B1480)}) ==
        Lines{"_table zzz _xid 88628920 _oid 16390 _identity d _pkey 1 _ikey 1 _action schema a 1 "
              "text not null b 2 text",
              "_table zzz _xid 88628920 _action insert a fox\\t54",
              "_table zzz _xid 88628920 _action update a fox54",
              "_table zzz _xid 88628920 _action update a fox54 b \\N",
              "_table zzz _xid 88628920 _action replace a fox54",
              "_table zzz _xid 88628920 _action update a fox11 b hen93",
              "_table zzz _xid 88628920 _action delete a fox11",
              "_table zzz _xid 88628920 _action truncate",
              commit_line(88628920, "0/17B1480", 88628921)});
  // A schema line comes once a connection.
  CHECK(session.lines({begin(88628922), kWhole.insert(16390, {"x", "y"}), commit(0x17B1500)}) ==
        Lines{"_table zzz _xid 88628922 _action insert a x b y",
              commit_line(88628922, "0/17B1500", 88628923)});
}

TEST_CASE("pgoutput: FULL tells the old row with its NULLs, and no identity is said",
          "[pgoutput]") {
  const std::string full = R"({"oid": 5, "schema": "public", "name": "t", "table": "t",
    "identity": "f", "publications": [{"name": "flood", "actions": "iudt"}],
    "columns": [{"n": 1, "name": "a", "type": "text", "oid": 25},
                {"n": 2, "name": "b", "type": "boolean", "oid": 16}]})";
  std::string none = full;
  none.replace(none.find("\"f\""), 3, "\"n\"");
  none.replace(none.find("5"), 1, "6");
  none.replace(none.find("\"table\": \"t\""), 12, "\"table\": \"u\"");
  none.replace(none.find("\"name\": \"t\""), 11, "\"name\": \"u\"");
  Session session({{5, "shape", full}, {6, "shape", none}}, 700);
  const Lines lines = session.lines(
      {begin(700), kWhole.relation(5, "public", "t", {{"a", 25, true}, {"b", 16, true}}, 'f'),
       kWhole.update(5, 'O', {"1", kNull}, {"1", "t"}), kWhole.erase(5, 'O', {"1", "f"}),
       kWhole.relation(6, "public", "u", {{"a"}, {"b", 16}}, 'n'), kWhole.update(6, {"1", "t"}),
       commit(0x100)});
  CHECK(lines == Lines{"_table t _xid 700 _oid 5 _identity f _pkey  _ikey  _action schema a 1 text "
                       "b 2 boolean",
                       "_table t _xid 700 _action replace a 1 b \\N",
                       "_table t _xid 700 _action update a 1 b 1",
                       "_table t _xid 700 _action delete a 1 b 0",
                       "_table u _xid 700 _oid 6 _identity n _pkey  _ikey  _action schema a 1 text "
                       "b 2 boolean",
                       "_table u _xid 700 _identity none _action update a 1 b 1",
                       commit_line(700, "0/100", 701)});
}

TEST_CASE("pgoutput: transactions without lines leave none, but their ids count", "[pgoutput]") {
  Session session;
  CHECK(session.lines({begin(88629000), kWhole.message("deltaflood", ""), commit(0x100)}).empty());
  CHECK(session.decoder.next() == 88629001);
  // An older one that commits later does not turn it back.
  CHECK(session.lines({begin(88628990), zzz(), kWhole.insert(16390, {"a", "b"}), commit(0x200)})
            .back() == commit_line(88628990, "0/200", 88629001));
}

TEST_CASE("pgoutput: transaction ids of 32 bits are widened", "[pgoutput]") {
  constexpr std::uint64_t kEpoch = std::uint64_t{7} << 32;
  Session session({{16390, "shape", shape_of(16390, "zzz")}}, kEpoch + 5);
  const auto next_after = [&](std::uint32_t xid) {
    session.lines({begin(xid), commit(0x100)});
    return session.decoder.next();
  };
  CHECK(next_after(0xfffffff0) == kEpoch + 5);  // of the epoch before
  CHECK(next_after(9) == kEpoch + 10);
  CHECK(next_after(0x70000000) == kEpoch + 0x70000001);
  CHECK(next_after(0xd0000000) == kEpoch + 0xd0000001);
  CHECK(next_after(3) == kEpoch + (std::uint64_t{1} << 32) + 4);
}

TEST_CASE("pgoutput: a shape row changes what follows it", "[pgoutput]") {
  Session session;
  const Lines lines =
      session.lines({begin(700), zzz(), kWhole.insert(16390, {"1", "2"}), kWhole.ddl_table(),
                     kWhole.ddl(700, "16390", "shape", shape_of(16390, "zzz", "c")),
                     kWhole.relation(16390, "public", "zzz", {{"a", 25, true}, {"c"}}),
                     kWhole.insert(16390, {"3", "4"}), commit(0x100)});
  CHECK(lines == Lines{kSchemaLine, "_table zzz _xid 700 _action insert a 1 b 2",
                       "_table zzz _xid 700 _oid 16390 _identity d _pkey 1 _ikey 1 _action schema "
                       "a 1 text not null c 2 text",
                       "_table zzz _xid 700 _action insert a 3 c 4",
                       commit_line(700, "0/100", 88628920)});
  CHECK(session.keeper.kept == Lines{"0/100 16390 shape"});
}

TEST_CASE("pgoutput: only what differs at the end of a statement is told", "[pgoutput]") {
  Session session;
  // There and back again; a repeated shape; a row that a restored dump brought.
  CHECK(session
            .lines({begin(700), kWhole.ddl_table(),
                    kWhole.ddl(700, "16390", "shape", shape_of(16390, "yyy")),
                    kWhole.ddl(700, "16390", "shape", shape_of(16390, "zzz")),
                    kWhole.ddl(699, "16390", "gone"), commit(0x100)})
            .empty());
  CHECK(session.lines({begin(701), kWhole.ddl(701, "16390", "gone"),
                       kWhole.ddl(701, "16400", "shape", shape_of(16400, "zzz")), commit(0x200)}) ==
        Lines{"_table zzz _xid 701 _oid 16390 _action drop",
              "_table zzz _xid 701 _oid 16400 _identity d _pkey 1 _ikey 1 _action schema a 1 text "
              "not null b 2 text",
              commit_line(701, "0/200", 88628920)});
}

TEST_CASE("pgoutput: what the publication left out for a while is said", "[pgoutput]") {
  Session session;
  std::string some = shape_of(16390, "zzz");
  some.replace(some.find("iudt"), 4, "iu");  // no deletes
  const std::string out = GENERATE_COPY(as<std::string>{}, "", some, R"({"v": 2, "oid": 16390})");
  CAPTURE(out);
  const std::string kind = out.empty() ? "gone" : "shape";
  const auto lines = session.lines(
      {begin(700), kWhole.ddl_table(), kWhole.ddl(700, "16390", kind, out.empty() ? kNull : out),
       kWhole.ddl(700, "16390", "shape", shape_of(16390, "zzz")), commit(0x100)});
  REQUIRE(lines.size() == 2);
  CHECK(lines[0] ==
        "_table zzz _xid 700 _untold the publication left out what was done to it for a while "
        "_action oversize");
  // And no more once it is followed again.
  CHECK(
      session.lines({begin(701), zzz(), kWhole.insert(16390, {"1", "2"}), commit(0x200)}).size() ==
      3);
}

TEST_CASE("pgoutput: CREATE TABLE AS has its rows after its shape", "[pgoutput]") {
  Session session({}, 700);
  const Lines lines = session.lines({begin(700), zzz(), kWhole.insert(16390, {"1", "2"}),
                                     kWhole.insert(16390, {"3", "4"}), kWhole.ddl_table(),
                                     kWhole.ddl(700, "16390", "shape", shape_of(16390, "zzz")),
                                     kWhole.insert(16390, {"5", "6"}), commit(0x100)});
  CHECK(lines == Lines{kSchemaLine, "_table zzz _xid 700 _action insert a 1 b 2",
                       "_table zzz _xid 700 _action insert a 3 b 4",
                       "_table zzz _xid 700 _action insert a 5 b 6",
                       commit_line(700, "0/100", 701)});
  CHECK(session.decoder.take_unknown().empty());
}

TEST_CASE("pgoutput: a table is unknown where shape and server disagree", "[pgoutput]") {
  Session session;
  const auto other = kWhole.relation(16390, "public", "zzz", {{"a", 25, true}, {"b", 23}});
  const auto lines = session.lines({begin(700), other, kWhole.insert(16390, {"1", "2"}),
                                    kWhole.insert(16390, {"3", "4"}), commit(0x100)});
  CHECK(lines == Lines{"_table zzz _xid 700 _untold no shape of it was told _action oversize",
                       commit_line(700, "0/100", 88628920)});
  CHECK(session.decoder.take_unknown() == std::set<std::uint32_t>{16390});
  // Each transaction says so, until its shape is told.
  CHECK(session.lines({begin(701), kWhole.truncate({16390}), commit(0x200)}).size() == 2);
  std::string shape = shape_of(16390, "zzz");
  shape.replace(shape.rfind("25"), 2, "23");
  const auto told =
      session.lines({begin(702), kWhole.ddl_table(), kWhole.ddl(702, "16390", "shape", shape),
                     kWhole.insert(16390, {"5", "6"}), commit(0x300)});
  REQUIRE(told.size() == 3);
  CHECK(told[1] == "_table zzz _xid 702 _action insert a 5 b 6");
}

TEST_CASE("pgoutput: of a table that was never told both spellings are", "[pgoutput]") {
  Session session({}, 700);
  CHECK(session.lines({begin(700), kWhole.relation(7, "s", "T", {{"a", 25, true}}),
                       kWhole.insert(7, {"1"}), commit(0x100)}) ==
        Lines{"_table \"s\".\"T\" _xid 700 _untold no shape of it was told _action oversize",
              "_table s.\"T\" _xid 700 _untold no shape of it was told _action oversize",
              commit_line(700, "0/100", 701)});
}

TEST_CASE("pgoutput: a rewrite and a fault of the triggers are said", "[pgoutput]") {
  Session session;
  CHECK(session.lines({begin(700), zzz(), kWhole.insert(16390, {"1", "2"}), commit(0x80)}).size() ==
        3);
  const auto lines =
      session.lines({begin(701), kWhole.ddl_table(), kWhole.ddl(701, "16390", "rewrite"),
                     kWhole.insert(16390, {"1", "2"}), commit(0x100)});
  REQUIRE(lines.size() == 3);
  CHECK(lines[0].find("_table zzz _xid 701 _untold it was rewritten") == 0);
  CHECK(lines[1] == "_table zzz _xid 701 _action insert a 1 b 2");
  CHECK(session.decoder.take_unknown().empty());
  const auto error = session.lines({begin(702), kWhole.ddl(702, kNull, "error"),
                                    kWhole.insert(16390, {"1", "2"}), commit(0x200)});
  REQUIRE(error.size() == 2);
  CHECK(error[0].find("_action oversize") != std::string::npos);
  CHECK(session.decoder.take_unknown().count(0) == 1);
}

TEST_CASE("pgoutput: a shape that cannot be read makes the table unknown", "[pgoutput]") {
  Session session({{16390, "shape", shape_of(16390, "zzz")}, {5, "shape", "{"}}, 700);
  const auto lines = session.lines({begin(700), zzz(), kWhole.ddl_table(),
                                    kWhole.ddl(700, "16390", "shape", R"({"v": 2, "oid": 16390})"),
                                    kWhole.insert(16390, {"1", "2"}), commit(0x100)});
  CHECK(lines == Lines{"_table zzz _xid 700 _untold its shape could not be read _action oversize",
                       commit_line(700, "0/100", 701)});
  CHECK(session.decoder.take_unknown() == std::set<std::uint32_t>{16390});
}

TEST_CASE("pgoutput: types are told in depth, in the order of the columns", "[pgoutput]") {
  const std::string shape = R"({"oid": "5", "schema": "s", "name": "t", "table": "s.t",
    "identity": "d", "ikey": [1], "pkey": [1], "ancestors": ["8", "9"],
    "publications": [{"name": "flood", "actions": "iudt"}],
    "columns": [{"n": 1, "name": "k", "type": "s.box[]", "oid": 16402},
                {"n": 3, "name": "m", "type": "boolean", "oid": 16, "missing": "t"},
                {"n": 4, "name": "g", "type": "integer", "oid": 23, "generated": "s"}],
    "types": [{"oid": 25, "is": "base named text"},
              {"oid": "16390", "is": "enum named s.e", "labels": [["16391", "a\tb"]]},
              {"oid": 16400, "is": "composite 1:25,2:16390 named s.box", "made_of": [25, 16390]},
              {"oid": 16402, "is": "array 16400 named s.box[]", "made_of": [16400]}]})";
  CHECK(schema_fields(parse_shape(5, shape, "flood"), nullptr) ==
        "\t_oid\t5\t_root\t9\t_identity\td\t_pkey\t1\t_ikey\t1\t_missing_3\t1\t_types\t1:16402"
        "\t_type_16402\tarray 16400 named s.box[]\t_type_16400\tcomposite 1:25,2:16390 named s.box"
        "\t_type_25\tbase named text\t_type_16390\tenum named s.e\t_label_16390_16391\ta\\tb"
        "\t_action\tschema\tk\t1 s.box[]\tm\t3 boolean");
  Relation sent = parse_relation(
      kWhole.relation(5, "s", "t", {{"k", 16402, true}, {"m", 16}, {"g", 23}}), Part::Whole);
  CHECK(difference(parse_shape(5, shape, "flood"), sent).empty());
  CHECK(schema_fields(parse_shape(5, shape, "flood"), &sent).find("\t_generated\t4\t") !=
        std::string::npos);
  CHECK(!parse_shape(5, shape, "other").is_told());
  CHECK_THROWS_AS(parse_shape(6, shape, "flood"), ProtocolError);
  CHECK_THROWS_AS(parse_shape(5, "{", "flood"), ProtocolError);
}

TEST_CASE("pgoutput: a transaction that comes in pieces is one", "[pgoutput]") {
  Session session;
  const Changes a(700);
  const Changes b(710);
  CHECK(
      session
          .lines({stream_start(700), zzz(a), a.insert(16390, {"1", "x"}), kStreamStop,
                  stream_start(710), zzz(b), b.insert(16390, {"2", "y"}), kStreamStop,
                  stream_start(700), a.insert(16390, {"3", "x"}), a.message("p", "c"), kStreamStop})
          .empty());
  CHECK(session.lines({begin(720), zzz(), kWhole.insert(16390, {"4", "z"}), commit(0x80)}).size() ==
        3);
  CHECK(session.lines({stream_commit(700, 0x100)}) ==
        Lines{"_table zzz _xid 700 _action insert a 1 b x",
              "_table zzz _xid 700 _action insert a 3 b x", commit_line(700, "0/100", 88628920)});
  CHECK(
      session.lines({stream_abort(710, 710), stream_abort(710, 710), stream_abort(5, 6)}).empty());
  CHECK(session.spool.transactions() == 0);
  CHECK(session.lines({stream_commit(710, 0x200)}).empty());
}

TEST_CASE("pgoutput: subtransactions that are rolled back leave nothing", "[pgoutput]") {
  Session session;
  const Changes top(700);
  const Changes parent(701);
  const Changes child(702);
  const Changes released(703);
  const auto in_block = [&](std::vector<std::string> messages) {
    messages.insert(messages.begin(), stream_start(700));
    messages.push_back(kStreamStop);
    CHECK(session.lines(messages).empty());
  };
  in_block({zzz(top), top.insert(16390, {"1", "top"}), parent.insert(16390, {"2", "parent"}),
            child.insert(16390, {"3", "child"})});
  CHECK(session.lines({stream_abort(700, 702)}).empty());
  in_block({zzz(parent), parent.insert(16390, {"4", "parent"}),
            released.insert(16390, {"5", "released"}), parent.insert(16390, {"6", "parent"})});
  SECTION("the child alone") {
    const auto lines = session.lines({stream_commit(700, 0x100)});
    REQUIRE(lines.size() == 7);
    CHECK(lines[2] == "_table zzz _xid 700 _action insert a 2 b parent");
    CHECK(lines[5] == "_table zzz _xid 700 _action insert a 6 b parent");
  }
  SECTION("the parent, with what it had released") {
    CHECK(session.lines({stream_abort(700, 703), stream_abort(700, 701)}).empty());
    in_block({zzz(top), top.insert(16390, {"7", "top"})});
    CHECK(session.lines({stream_commit(700, 0x100)}) ==
          Lines{kSchemaLine, "_table zzz _xid 700 _action insert a 1 b top",
                "_table zzz _xid 700 _action insert a 7 b top",
                commit_line(700, "0/100", 88628920)});
  }
  SECTION("a shape of one that is rolled back never was") {
    const Changes other(705);
    in_block({other.ddl_table(), other.ddl(700, "16390", "shape", shape_of(16390, "zzz", "c"))});
    CHECK(session.lines({stream_abort(700, 705)}).empty());
    const auto lines = session.lines({stream_commit(700, 0x100)});
    CHECK(lines[0] == kSchemaLine);
    CHECK(session.keeper.kept.empty());
  }
}

TEST_CASE("pgoutput: what is spooled is read again whole, however large", "[pgoutput][spool]") {
  const support::TempDir temp;
  Spool spool(temp.path() / ".spool");
  std::mt19937 random(7);
  std::vector<std::string> all;
  std::vector<std::uint64_t> sizes;
  const auto file = spool.new_file();
  const auto check = [&] {
    std::size_t count = 0;
    for (std::string_view message; file->next(message); ++count) CHECK(message == all[count]);
    CHECK(count == all.size());
  };
  for (int i = 0; i < 300; ++i) {
    sizes.push_back(file->size());
    all.emplace_back(random() % (i % 50 == 0 ? 900'000 : 900), static_cast<char>('a' + i % 26));
    file->append(all.back());
    if (i % 37 == 0) file->release();
  }
  file->truncate(sizes[250]);
  all.resize(250);
  file->release();
  all.emplace_back("the end");
  file->append(all.back());
  check();
}

TEST_CASE("pgoutput: many subtransactions are found as fast as few", "[pgoutput][spool]") {
  const support::TempDir temp;
  Spool spool(temp.path() / ".spool");
  spool.begin_block(1);
  for (std::uint32_t i = 0; i < 200'000; ++i) {
    spool.append(2, "p");       // the parent of them all
    spool.append(10 + i, "c");  // a subtransaction of one change
  }
  spool.end_block();
  spool.abort(1, 10 + 199'999);
  spool.abort(1, 10);  // and all behind it
  const auto file = spool.take(1);
  std::string_view message;
  CHECK(file->next(message));
  CHECK(message == "p");
  CHECK(!file->next(message));
}

TEST_CASE("pgoutput: what a process before left in the spool is cleared", "[pgoutput][spool]") {
  const support::TempDir temp;
  std::filesystem::create_directory(temp.path() / ".spool");
  support::write_file(temp.path() / ".spool" / "1", "half a message");
  Spool spool(temp.path() / ".spool");
  CHECK(std::filesystem::is_empty(temp.path() / ".spool"));
}

TEST_CASE("pgoutput: what tables were is known again where a connection begins", "[pgoutput]") {
  const support::TempDir temp;
  const auto known = [&](std::uint64_t begin) {
    std::string out;
    for (const ShapeRow& row : ShapeLog(temp.path()).open(Lsn{begin}, Lsn{0})) {
      out += std::to_string(row.relation) + "=" + row.shape + " ";
    }
    return out;
  };
  CHECK(known(1000).empty());
  {
    ShapeLog log(temp.path());
    CHECK(log.open(Lsn{0x100}, Lsn{0}).empty());
    log.keep(Lsn{0x100}, {{5, "shape", "a\tb\n"}, {6, "shape", "c"}});
    log.keep(Lsn{0x200}, {{5, "rewrite", ""}, {5, "shape", "d"}, {6, "gone", ""}});
    log.keep(Lsn{0x300}, {{0, "error", ""}, {6, "shape", "e"}});
    log.keep(Lsn{0x400}, {{5, "shape", "f"}});
  }
  CHECK(known(0x400) == "5=f 6=e ");
  const std::string whole = support::read_file(temp.path() / ".shapes");
  CHECK(known(0x3ff) == "6=e ");  // what comes later comes again
  CHECK(known(0x400) == "6=e ");
  CHECK(known(0x2ff) == "5=d ");
  CHECK(known(0x1ff) == "6=c 5=a\tb\n ");
  // A loss of power may tear its end.
  support::write_file(temp.path() / ".shapes", whole.substr(0, whole.size() - 3));
  CHECK(known(0x400) == "6=e ");
  std::string flipped = whole;
  flipped[flipped.find("shape") + 7] ^= 1;
  support::write_file(temp.path() / ".shapes", flipped);
  CHECK(known(0x400).empty());
}

TEST_CASE("pgoutput: bytes that are no message are an error, and no more", "[pgoutput]") {
  const std::vector<std::string> messages = {
      begin(700),
      zzz(),
      kWhole.insert(16390, {"1", "2"}),
      kWhole.update(16390, 'K', {"1", kNull}, {"2", kUnchanged}),
      kWhole.erase(16390, 'K', {"2", kNull}),
      kWhole.truncate({16390}),
      kWhole.message("p", "c"),
      kWhole.ddl_table(),
      kWhole.ddl(700, "16390", "shape", shape_of(16390, "zzz", "c")),
      "O" + int64(1) + zero("origin"),
      "Y" + int32(16400) + zero("public") + zero("e"),
      commit(0x100),
      stream_start(701),
      Changes(701).insert(16390, {"1", "2"}),
      kStreamStop,
      stream_abort(701, 702),
      stream_commit(701, 0x200)};
  const auto feed = [](const std::vector<std::string>& session) {
    Session fresh;
    try {
      fresh.lines(session);
    } catch (const ProtocolError& e) {
      CHECK(!std::string(e.what()).empty());
    }
  };
  // Cut short at any byte, and with any byte another.
  for (std::size_t i = 0; i < messages.size(); ++i) {
    for (std::size_t size = 0; size < messages[i].size(); size += messages[i].size() / 60 + 1) {
      auto session = messages;
      session[i].resize(size);
      feed(session);
    }
  }
  std::mt19937 random(11);
  for (int round = 0; round < 500; ++round) {
    auto session = messages;
    std::string& message = session[random() % session.size()];
    message[random() % message.size()] = static_cast<char>(random());
    feed(session);
  }
}
