// `daystream pull`: keeps a directory the same as a stream elsewhere. What of it is the same for
// every kind of stream.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "daystream/stop.h"
#include "program/notify.h"
#include "program/retries.h"
#include "remote/relay_writer.h"
#include "src/place.h"

namespace daystream::remote {

// Threads: one. Errors: what RelayWriter and the stream throw, unless trying again may help.
class Relay {
 public:
  // `address`: of the stream. `once`: end when everything that is there has been pulled.
  Relay(std::string address, std::filesystem::path directory, bool once);
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;
  virtual ~Relay();

  // Pulls until `stop` is requested.
  void run(const Stop& stop);

 protected:
  // What is written and synced goes to disk at least so often, while more comes.
  static constexpr std::chrono::milliseconds kFlushAfter{1000};

  RelayWriter& writer() noexcept { return *writer_; }

  virtual std::string manifest_text() = 0;
  // Throws where there is no whole copy to be had, before a directory is made for it.
  virtual void require_whole_stream() {}
  // Goes on behind what the writer has.
  virtual void begin() = 0;
  // Appends what has come, or waits for it, kFlushAfter at most. True: something came.
  virtual bool receive(const Stop& stop) = 0;
  virtual bool at_tail() const = 0;  // there was nothing more by then
  virtual void end_turn() {}
  virtual void end() noexcept {}  // what was begun has failed

 private:
  void open();
  void session(const Stop& stop);
  void wait(std::chrono::milliseconds pause, const Stop& stop);

  const std::string address_;
  const std::filesystem::path directory_;
  const bool once_;
  program::Retries retries_;
  program::Notify notify_;
  std::unique_ptr<RelayWriter> writer_;
  std::optional<PlaceWatch> place_;  // of the directory, once it is ours
  bool done_ = false;
};

}  // namespace daystream::remote
