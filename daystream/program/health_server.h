// GET /healthz for a load balancer, which takes a host out while what runs there is not fit to be
// asked. HTTP of its own, not libevent's: it must stay answerable, and take no descriptors from the
// process, whoever holds connections open, and libevent 2.1 bounds their number nowhere.
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <string>
#include <thread>

#include "daystream/unique_fd.h"
#include "src/waiting.h"

namespace daystream::program {

struct Fitness {
  bool is_fit = false;
  std::string text;  // a line for who looks: anybody who reaches the address
};

// Answers 200 and the text, or 503 and the text. Any other path is 404, any other method 405.
//
// Threads: `fitness` is called on a thread of its own. What it throws is a 503.
class HealthServer {
 public:
  // `address` as ListenAddress::parse() takes it; empty: does nothing. Throws IoError, ConfigError.
  HealthServer(const std::string& address, std::function<Fitness()> fitness);
  HealthServer(const HealthServer&) = delete;
  HealthServer& operator=(const HealthServer&) = delete;
  ~HealthServer();

 private:
  // A request of a few hundred bytes comes at once, or its connection makes room for the next.
  struct Client {
    UniqueFd fd;
    std::string heard;
    std::chrono::steady_clock::time_point until;
  };

  void work(const std::stop_token& stop);
  void accept_one();
  bool is_done(Client& client);
  std::string answer(const std::string& request) const;

  const std::function<Fitness()> fitness_;
  UniqueFd listening_;
  WakeFd stopped_;
  std::list<Client> clients_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace daystream::program
