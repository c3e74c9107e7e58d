// A deltastream under test: its directory, its slot, how to run it and what it has written.
#pragma once

#include <string>
#include <vector>

#include "support/cluster.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace deltastream_test {

// `needle` occurs in `text`; for CHECK(contains(…)), which then shows both.
bool contains(const std::string& text, const std::string& needle);

// Waits until the process says that it streams from its slot.
bool streaming(const support::Process& process);

class Stream {
 public:
  explicit Stream(const support::Cluster& cluster, std::string slot = "stream");

  std::filesystem::path directory() const { return temp_ / "daystream"; }
  const std::string& slot() const noexcept { return slot_; }

  // `deltastream -d … -S … -D …` and `more`, which may have a -d of its own.
  std::vector<std::string> command(const std::vector<std::string>& more = {}) const;
  support::Process start(const std::vector<std::string>& more = {}) const;
  support::Result run(const std::vector<std::string>& more = {}) const;
  // The same, until everything the server has now is confirmed.
  support::Result run_to_end(const std::vector<std::string>& more = {}) const;

  void create_slot() const;
  // Waits until the slot is confirmed up to what the server has now.
  bool caught_up() const;
  std::string confirmed() const;

  // What is on disk.
  bool exists() const { return std::filesystem::exists(directory()); }
  std::string text() const;  // of all days
  std::uintmax_t size_bytes() const;
  std::vector<std::string> lines(const std::string& holding) const;  // those that hold the text
  std::vector<std::string> commit_lsns() const;

 private:
  const support::Cluster& cluster_;
  std::string slot_;
  support::TempDir temp_;
};

// As 64-bit numbers, never as text.
std::uint64_t lsn_value(const std::string& lsn);

// Each LSN once, rising; and no line without an end line of its own.
void check_sound(const Stream& stream);

}  // namespace deltastream_test
