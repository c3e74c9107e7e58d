// A mirror of two small tables whose shape is to change.
#pragma once

#include <catch2/catch.hpp>
#include <string>

#include "pipeline.h"

struct Shaped : Pipeline {
  Shaped() {
    cluster.execute(
        "CREATE TABLE t(id int PRIMARY KEY, a text, b int);"
        "INSERT INTO t SELECT i, 'a' || i, i * 10 FROM generate_series(1, 3) i;"
        "CREATE TABLE u(id int PRIMARY KEY, v text); INSERT INTO u VALUES(1, 'u')");
    start_stream();
    const support::Result seeded = seed({"--table", "t", "--table", "u"});
    INFO(seeded.err);
    REQUIRE(seeded.ok());
  }
  void follow() const {
    const support::Result run = run_once();
    INFO(run.err);
    REQUIRE(run.ok());
  }
  void check(const std::string& sql) const {
    CAPTURE(sql);
    CHECK(rows(sql) == source_rows(sql));
  }
};
