// A daystream that is published to a broker and copied from there, by two processes that a test may
// kill.
#pragma once

#include <catch2/catch.hpp>
#include <chrono>
#include <optional>
#include <string>

#include "broker.h"
#include "support/process.h"
#include "support/scratch_dir.h"
#include "support/wait.h"

namespace nats_test {

struct Flow {
  // Returns when there is a copy. As many replicas as servers.
  explicit Flow(int days = 1, int servers = 1) : source(days), broker(servers), servers_(servers) {
    REQUIRE(support::eventually(std::chrono::minutes(3), [&] { return is_there(); }));
  }
  // Whether the copy has all that is durable, and the same bytes.
  bool is_same() const {
    return daystream::test::slurp(copy() / "durable") ==
               daystream::test::slurp(source.directory / "durable") &&
           difference(source.directory.path(), copy()).empty();
  }
  // The same, and processes that have ended are started again: before there was a stream, or
  // killed.
  bool is_there() {
    if (!publisher || !publisher->running()) start_publisher();
    if (!puller || !puller->running()) start_puller();
    return is_same();
  }
  // These kill the one before.
  void start_publisher() {
    publisher.emplace(daystream_process(
        {"publish", source.path(), broker.address(), "--replicas", std::to_string(servers_)}));
  }
  void start_puller() {
    puller.emplace(daystream_process({"pull", broker.address(), copy().string()}));
  }
  void grow(Random& random) {
    for (int i = below(random, 8); i >= 0; --i) {
      source.add(1 + (below(random, 10) == 0 ? 20'000 : below(random, 5)),
                 below(random, 20) == 0 ? 86400 : 1);
      if (below(random, 2) == 0) source.flush();
    }
    source.flush();
  }
  std::filesystem::path copy() const { return folder / "copy"; }

  Source source;
  Broker broker;
  support::ScratchDir folder;
  std::optional<support::Process> publisher;
  std::optional<support::Process> puller;

 private:
  const int servers_;
};

}  // namespace nats_test
