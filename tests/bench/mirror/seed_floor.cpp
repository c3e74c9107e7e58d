// The floors of a seed: how fast SQLite takes the rows of table `item`, in one thread.
//
//   seed_floor ready CONNINFO OUT.db   values that lie ready in memory, bound and inserted
//   seed_floor copy CONNINFO OUT.db    COPY in binary, decoded, bound and inserted as it comes
//
// Both without a journal, in one transaction. Prints the seconds; those of `ready` begin when all
// values are in memory.
#include <endian.h>
#include <libpq-fe.h>

#include <cstdint>
#include <cstring>
#include <ctime>
#include <vector>

#include "floor.h"

using floors::die;

namespace {

struct Item {
  std::int64_t id = 0;
  std::string name;
  std::string note;
  double price = 0;
  std::string at;
};

class Table {
 public:
  explicit Table(const char* path) : db_(floors::open_database(path)) {
    floors::run(db_,
                "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; "
                "PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-65536; BEGIN;"
                "CREATE TABLE item(id INTEGER PRIMARY KEY NOT NULL, name TEXT, note TEXT, "
                "price REAL, at TEXT)");
    insert_ = floors::prepare(db_, "INSERT INTO item VALUES(?,?,?,?,?)");
  }
  void insert(std::int64_t id, std::string_view name, std::string_view note, double price,
              std::string_view at) {
    sqlite3_bind_int64(insert_, 1, id);
    floors::bind(insert_, 2, name);
    floors::bind(insert_, 3, note);
    sqlite3_bind_double(insert_, 4, price);
    floors::bind(insert_, 5, at);
    floors::step(insert_);
  }
  void close() {
    floors::run(db_, "COMMIT");
    sqlite3_finalize(insert_);
    sqlite3_close(db_);
  }

 private:
  sqlite3* db_;
  sqlite3_stmt* insert_;
};

template <typename Number>
Number big_endian(const char* bytes) {
  Number value;
  std::memcpy(&value, bytes, sizeof value);
  if constexpr (sizeof value == 2) return static_cast<Number>(be16toh(value));
  if constexpr (sizeof value == 4) return static_cast<Number>(be32toh(value));
  if constexpr (sizeof value == 8) return static_cast<Number>(be64toh(value));
}

// Microseconds since 2000 as `2026-11-21 10:15:04.123456`, without trailing zeros.
std::string_view time_text(std::int64_t since_2000, char (&out)[32]) {
  const std::int64_t us = since_2000 + 946684800ll * 1'000'000;
  const std::time_t seconds = us / 1'000'000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::size_t size = std::strftime(out, sizeof out, "%Y-%m-%d %H:%M:%S", &parts);
  if (const long fraction = us % 1'000'000; fraction != 0) {
    std::snprintf(out + size, sizeof out - size, ".%06ld", fraction);
    for (size += 7; out[size - 1] == '0'; --size) {
    }
  }
  return {out, size};
}

// Calls `take(id, name, note, price, at)` with each row of COPY (FORMAT binary).
template <typename Take>
void each_row(const char* conninfo, Take take) {
  PGconn* pg = PQconnectdb(conninfo);
  if (PQstatus(pg) != CONNECTION_OK) die(PQerrorMessage(pg));
  PQclear(PQexec(pg, "COPY item TO STDOUT (FORMAT binary)"));
  char* row = nullptr;
  bool header = true;
  char at[32];
  for (int size = 0; (size = PQgetCopyData(pg, &row, 0)) > 0; PQfreemem(row)) {
    const char* in = row;
    if (header) in += 19;
    header = false;
    if (row + size == in) continue;
    if (big_endian<std::int16_t>(in) != 5) continue;  // the trailer
    in += 2;
    const char* fields[5];
    std::int32_t sizes[5];
    for (int i = 0; i < 5; ++i) {
      sizes[i] = big_endian<std::int32_t>(in);
      fields[i] = in += 4;
      in += sizes[i];
    }
    const auto bits = big_endian<std::uint64_t>(fields[3]);
    double price;
    std::memcpy(&price, &bits, sizeof price);
    take(big_endian<std::int32_t>(fields[0]),
         std::string_view(fields[1], static_cast<std::size_t>(sizes[1])),
         std::string_view(fields[2], static_cast<std::size_t>(sizes[2])), price,
         time_text(big_endian<std::int64_t>(fields[4]), at));
  }
  PQfinish(pg);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) die("usage: seed_floor ready|copy CONNINFO OUT.db");
  if (std::string_view(argv[1]) == "copy") {
    const floors::Stopwatch watch;
    Table table(argv[3]);
    each_row(argv[2], [&](auto... values) { table.insert(values...); });
    table.close();
    watch.print();
    return 0;
  }
  std::vector<Item> items;
  each_row(argv[2], [&](std::int64_t id, std::string_view name, std::string_view note, double price,
                        std::string_view at) {
    items.push_back({id, std::string(name), std::string(note), price, std::string(at)});
  });
  const floors::Stopwatch watch;
  Table table(argv[3]);
  for (const Item& item : items) table.insert(item.id, item.name, item.note, item.price, item.at);
  table.close();
  watch.print();
}
