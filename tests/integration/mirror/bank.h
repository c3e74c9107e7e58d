// A load whose invariant every state of a mirror must keep.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "support/cluster.h"

// Moves money between accounts as fast as it can until stopped; the sum never changes.
class Bank {
 public:
  explicit Bank(const support::Cluster& cluster) : cluster_(cluster) {
    cluster.execute(
        "CREATE TABLE account(id int PRIMARY KEY, balance bigint NOT NULL, note text);"
        "INSERT INTO account SELECT i, 1000, repeat('n', i % 50) FROM generate_series(1, 200) i;"
        "CREATE TABLE ledger(id bigserial PRIMARY KEY, src int, dst int, amount int)");
  }
  ~Bank() { stop(); }

  void start() {
    stop_ = false;
    for (int seed = 0; seed < 2; ++seed) {
      threads_.emplace_back([this, seed] { work(static_cast<unsigned>(seed)); });
    }
  }
  void stop() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  std::uint64_t transfers() const { return transfers_; }

 private:
  void work(unsigned seed) {
    support::Session session = cluster_.session();
    while (!stop_) {
      const int src = static_cast<int>(rand_r(&seed) % 200) + 1;
      const int dst = static_cast<int>(rand_r(&seed) % 200) + 1;
      const int amount = static_cast<int>(rand_r(&seed) % 50);
      // In the order of ids, so that two never wait for each other.
      const auto add = [](int id, int by) {
        return "UPDATE account SET balance = balance + " + std::to_string(by) +
               " WHERE id = " + std::to_string(id) + ";";
      };
      std::string sql = "BEGIN;";
      sql +=
          src < dst ? add(src, -amount) + add(dst, amount) : add(dst, amount) + add(src, -amount);
      sql += "INSERT INTO ledger(src, dst, amount) VALUES(" + std::to_string(src) + "," +
             std::to_string(dst) + "," + std::to_string(amount) + ");COMMIT";
      session.execute(sql);
      ++transfers_;
    }
  }

  const support::Cluster& cluster_;
  std::atomic<bool> stop_ = false;
  std::atomic<std::uint64_t> transfers_ = 0;
  std::vector<std::thread> threads_;
};
