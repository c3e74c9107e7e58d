// `daystream pull`: keeps a directory the same as one that another host serves.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "program/notify.h"
#include "remote/http_client.h"
#include "remote/pauses.h"
#include "src/place.h"

namespace daystream::remote {

class RelayWriter;

struct RelayOptions {
  Options http;
  Url url;
  std::filesystem::path directory;
  std::string copy;   // what the server calls this copy
  bool once = false;  // end when everything that is there has been pulled
};

// Threads: one. Errors: what RelayWriter and Download throw, unless trying again may help.
class Relay {
 public:
  explicit Relay(RelayOptions options);
  ~Relay();

  // Pulls until `stop` says so, which is asked whenever `wake_fd` is readable.
  void run(int wake_fd, const std::function<bool()>& stop);

 private:
  void open();
  void session(int wake_fd, const std::function<bool()>& stop);
  void check_whole(const Download& download) const;
  void refresh_manifest();
  void report();
  void wait(std::chrono::milliseconds pause, int wake_fd);

  RelayOptions options_;
  Pauses pauses_;
  Notices notices_;
  program::Notify notify_;
  std::unique_ptr<RelayWriter> writer_;
  std::optional<PlaceWatch> place_;  // of the directory, once it is ours
  std::string reported_;
  std::chrono::steady_clock::time_point reported_at_;
  bool done_ = false;
};

}  // namespace daystream::remote
