// A `daystream serve` of a test, on a port of its own, and what a client sees of it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "remote/http_client.h"
#include "support/process.h"

namespace serve_test {

using support::Process;

class ServerProcess {
 public:
  // `port` 0: any. `under`: a command that runs it, as strace. Returns once it listens; throws with
  // its words where it does not.
  explicit ServerProcess(const std::vector<std::string>& streams,
                         const std::vector<std::string>& more = {}, int port = 0,
                         const std::vector<std::string>& under = {});

  Process& process() { return process_; }
  int port() const noexcept { return port_; }
  std::string url(const std::string& path = "/test") const;
  std::string https_url(const std::string& path = "/test") const;

 private:
  Process process_;
  int port_ = 0;
};

// All of a response that ends by itself.
std::string body_of(const std::string& url);
// "status code" of a request, as "409 wrong-source"; "200" where there is no code.
std::string outcome_of(const std::string& url, const std::string& method = "GET");

std::string slurp_days(const std::filesystem::path& directory);  // all day files, in order

// A plain connection, for what no honest client sends.
class RawConnection {
 public:
  explicit RawConnection(int port);
  void send(const std::string& bytes);
  // All until the peer closes; throws where it does not within support::kPatience.
  std::string read_all();
  std::string read_some(std::size_t size);
  bool has_bytes();  // something came that was not read
  bool is_closed();  // the peer has ended it, and said nothing before

 private:
  support::Fd fd_;
};

}  // namespace serve_test
