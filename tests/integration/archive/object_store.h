// Object storage of a test: a server of the S3 protocol with one bucket, `b`, and a proxy in front
// of it that answers badly when it is told to.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "support/process.h"
#include "support/scratch_dir.h"

namespace archive_test {

// The programs that there are. Ours (tests/support/s3_server.py) checks every signature. S3rver is
// somebody else's, from npm, and checks none; ./dev test installs it where there is an npm.
enum class Store { Ours, S3rver };
std::vector<Store> stores();

// While it lives, the environment says who we are to it, for this process and its children.
class ObjectStore {
 public:
  explicit ObjectStore(Store kind = Store::Ours, int page = 1000);
  ~ObjectStore();

  // s3://b/PREFIX at the proxy.
  std::string address(const std::string& prefix = "prod") const;
  // The next requests meet these: faulty_proxy.py has the words.
  void meet(const std::string& faults);
  std::string faults_left() const;
  std::string log() const { return server_->out(); }  // of `ours`: a line a request
  int requests() const;                               // of `ours`, so far
  // The file of an object, of `ours`: without it there is no such object.
  std::filesystem::path object(const std::string& key) const;
  void kill();

 private:
  support::ScratchDir folder_;
  int port_ = 0;
  int proxy_port_ = 0;
  std::optional<support::Process> server_;
  std::optional<support::Process> proxy_;
};

}  // namespace archive_test
