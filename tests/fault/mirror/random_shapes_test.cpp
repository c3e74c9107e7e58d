// Shapes change at random: after each change the mirror that follows is what a fresh seed makes.
#include <catch2/catch.hpp>
#include <csignal>

#include "common/seed.h"
#include "common/streaming.h"
#include "support/cluster.h"
#include "support/process.h"
#include "support/sqlite_reader.h"
#include "support/temp_dir.h"

using namespace fault;
using Strings = std::vector<std::string>;

namespace {

constexpr std::size_t kMostColumns = 12;

std::string number(std::uint64_t value) {
  return std::to_string(value);
}

// SQL that changes tables p and q at random. Which columns there are, it asks the server: so
// nothing has to be kept in step with what was rolled back.
class Changer {
 public:
  Changer(support::Cluster& cluster, Random& random) : cluster_(cluster), random_(random) {
    for (const char* table : {"p", "q"}) {
      cluster_.execute(std::string("CREATE TABLE ") + table +
                       "(id int PRIMARY KEY, alt int NOT NULL UNIQUE, c1 text, c2 int)");
    }
    for (int i = 0; i < 5; ++i) change_rows();
  }

  // One change of shape among changes of rows, in one transaction or in several. What it ran.
  std::string step() {
    done_.clear();
    const bool together = random_.one_in(2);
    const bool undone = together && random_.one_in(6);
    support::Session session = cluster_.session();
    session_ = &session;
    if (together) run("BEGIN");
    change_rows();
    if (together && random_.one_in(5)) {
      run("SAVEPOINT s");
      change_shape();
      change_rows();
      run("ROLLBACK TO s");
    }
    change_shape();
    if (together && random_.one_in(3)) change_shape();
    change_rows();
    if (together) run(undone ? "ROLLBACK" : "COMMIT");
    session_ = nullptr;
    return done_;
  }

 private:
  void run(const std::string& sql) {
    done_ += sql + ";\n";
    if (session_ != nullptr) {
      session_->execute(sql);
    } else {
      cluster_.execute(sql);
    }
  }
  support::Rows query(const std::string& sql) {
    return session_ != nullptr ? session_->query(sql) : cluster_.query(sql);
  }
  std::string table() { return random_.one_in(2) ? "p" : "q"; }
  // Columns beside id and alt; `type` narrows them.
  Strings columns(const std::string& table, const std::string& type = {}) {
    Strings out;
    const std::string narrowed =
        type.empty() ? "" : " AND format_type(atttypid, atttypmod) = '" + type + "'";
    for (const support::Row& row :
         query("SELECT attname FROM pg_attribute WHERE attrelid = '" + table +
               "'::regclass AND attnum > 0 AND NOT attisdropped AND attname NOT IN ('id', 'alt') "
               "AND attgenerated = ''" +
               narrowed)) {
      out.push_back(row.at(0).value());
    }
    return out;
  }
  std::string new_name() { return "c" + number(++names_ + 100); }

  void change_rows() {
    const std::string t = table();
    const std::string id = number(random_.below(40));
    switch (random_.below(4)) {
      case 0:
      case 1:
        run("INSERT INTO " + t + "(id, alt) SELECT i, i + 1000 FROM generate_series(" + id + ", " +
            id + " + 4) i ON CONFLICT DO NOTHING");
        break;
      case 2:
        run("DELETE FROM " + t + " WHERE id % 7 = " + number(random_.below(7)));
        break;
      default:
        break;
    }
    for (const std::string& column : columns(t, "integer")) {
      run("UPDATE " + t + " SET " + column + " = id * " + number(random_.below(9)) +
          " WHERE id % 3 = " + number(random_.below(3)));
    }
    for (const std::string& column : columns(t, "text")) {
      run("UPDATE " + t + " SET " + column + " = repeat('" + column + "', " +
          number(random_.one_in(4) ? 2000 : 3) +
          ") || id WHERE id % 3 = " + number(random_.below(3)));
    }
    if (random_.one_in(4)) {
      run("UPDATE " + t +
          " SET id = id + 100 WHERE id BETWEEN 10 AND 12 AND id + 100 NOT IN "
          "(SELECT id FROM " +
          t + ")");
    }
  }

  void change_shape() {
    const std::string t = table();
    const std::string alter = "ALTER TABLE " + t + " ";
    const Strings all = columns(t);
    const std::string some = all.empty() ? "" : all[random_.below(all.size())];
    // Over thousands of changes columns would become hundreds.
    if (all.size() > kMostColumns) return run(alter + "DROP COLUMN " + some);
    switch (random_.below(15)) {
      case 0:
        return run(alter + "ADD COLUMN " + new_name() + " int");
      case 1:
        return run(alter + "ADD COLUMN " + new_name() + " text DEFAULT 'it''s'");
      case 2:
        return run(alter + "ADD COLUMN " + new_name() + " double precision DEFAULT random()");
      case 3:
        return run(alter + "ADD COLUMN " + new_name() + " int GENERATED ALWAYS AS (id * 2) STORED");
      case 4:
        return run(alter + "ADD COLUMN " + new_name() + " timestamptz DEFAULT now()");
      case 5:
        if (all.size() > 2) run(alter + "DROP COLUMN " + some);
        return;
      case 6:
        if (!some.empty()) run(alter + "RENAME COLUMN " + some + " TO " + new_name());
        return;
      case 7:
        if (all.size() > 1) {
          const std::string meanwhile = new_name();
          run(alter + "RENAME COLUMN " + all[0] + " TO " + meanwhile);
          run(alter + "RENAME COLUMN " + all[1] + " TO " + all[0]);
          run(alter + "RENAME COLUMN " + meanwhile + " TO " + all[1]);
        }
        return;
      case 8:
        for (const std::string& column : columns(t, "integer")) {
          return run(alter + "ALTER COLUMN " + column + " TYPE " +
                     (random_.one_in(2) ? "bigint" : "text"));
        }
        return;
      case 9:
        for (const std::string& column : columns(t, "bigint")) {
          return run(alter + "ALTER COLUMN " + column + " TYPE numeric(20,2)");
        }
        return run("TRUNCATE " + t);
      case 10:
        return run("TRUNCATE p, q");
      case 11:
        run("ALTER TABLE p RENAME TO r");
        run("ALTER TABLE q RENAME TO p");
        return run("ALTER TABLE r RENAME TO q");
      case 12:
        run(alter + "DROP CONSTRAINT IF EXISTS " + key_name(t));
        return run(alter + "ADD PRIMARY KEY (" + (random_.one_in(2) ? "alt" : "id") + ")");
      case 13:
        return run(alter + "REPLICA IDENTITY " + (random_.one_in(2) ? "FULL" : "DEFAULT"));
      default:
        return run("CREATE INDEX ON " + t + "(alt)");
    }
  }
  std::string key_name(const std::string& t) {
    const support::Rows rows = query(
        "SELECT conname FROM pg_constraint WHERE contype = 'p' AND "
        "conrelid = '" +
        t + "'::regclass");
    return rows.empty() ? "none" : rows[0][0].value();
  }

  support::Cluster& cluster_;
  Random& random_;
  support::Session* session_ = nullptr;
  std::string done_;
  std::uint64_t names_ = 0;
};

// What of a mirror is to be the same: columns, their types and keys, and all rows.
Strings content(const std::filesystem::path& mirror) {
  support::SqliteReader reader(mirror);
  Strings out;
  for (const char* table : {"p", "q"}) {
    std::string order;
    for (const support::Row& row : reader.query(std::string("SELECT name, type, pk, \"notnull\" "
                                                            "FROM pragma_table_info('") +
                                                table + "')")) {
      out.push_back(std::string(table) + ": " + *row[0] + " " + *row[1] + " " + *row[2] + *row[3]);
      order += (order.empty() ? "" : ", ") + ("\"" + *row[0] + "\"");
    }
    for (const support::Row& row :
         reader.query(std::string("SELECT * FROM ") + table + " ORDER BY " + order)) {
      std::string text = table;
      for (const auto& cell : row) text += "|" + cell.value_or("null");
      out.push_back(text);
    }
  }
  return out;
}

}  // namespace

TEST_CASE("deltamirror: after random changes of shape a mirror is what a fresh seed makes",
          "[fault][deltamirror][shapes]") {
  Random random("shapes");
  support::Cluster cluster;
  Changer changer(cluster, random);
  const support::TempDir dir;
  const auto mirror = dir / "mirror.db";
  support::Process stream({support::program("deltastream"), "-d", cluster.conninfo(), "-S", "m",
                           "-D", dir / "stream", "--create-slot"});
  wait_until_streaming(dir / "stream", stream);
  const auto seed = [&](const std::filesystem::path& file) {
    support::run_ok({support::program("deltamirror"), "seed", file, "-d", cluster.conninfo(),
                     "--daystream", dir / "stream", "--table", "p", "--table", "q"});
  };
  seed(mirror);
  support::Process owner(
      {support::program("deltamirror"), "run", mirror, "--daystream", dir / "stream"});
  for (int i = 0, count = rounds(40, 3000); i < count; ++i) {
    const std::string sql = changer.step();
    CAPTURE(i, sql);
    // Each is followed by itself; in the short form not each is compared.
    if (!long_form() && i % 8 != 7) continue;
    const std::string lsn = cluster.scalar("SELECT pg_current_wal_flush_lsn()");
    const support::Result caught = support::run(
        {support::program("deltamirror"), "wait", mirror, "--lsn", lsn, "--timeout", "45"});
    INFO(owner.err());
    REQUIRE(caught.ok());
    const auto fresh = dir / ("fresh" + number(static_cast<std::uint64_t>(i)) + ".db");
    seed(fresh);
    REQUIRE(content(mirror) == content(fresh));
    for (const char* suffix : {"", "-wal", "-shm", ".lock"}) {
      std::filesystem::remove(fresh.string() + suffix);
    }
  }
  owner.signal(SIGTERM);
  CHECK(owner.wait() == support::Exit{0, 0});
}
