// A folder for one test, gone when the test is, however it ends.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>

#include "support/fd.h"

namespace support {

// Makes TMPDIR/deltaflood-XXXXXX (or in /tmp), which others may enter but not list.
//
// The destructor removes it. Should the test die without one, a reaper does: a small shell that
// waits for the end of a pipe this process holds open. Before removing, it stops a PostgreSQL
// whose data folder is DIR/data, so that no server outlives its test.
// DELTAFLOOD_TEST_KEEP=1 in the environment keeps the folder, for looking at it afterwards, and
// DELTAFLOOD_TEST_KEEP=failed the folders of what has failed (see keep_all()).
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::filesystem::path& path() const noexcept { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

  // Something has failed: with DELTAFLOOD_TEST_KEEP=failed the folders that there are now outlive
  // their tests, and standard error tells where they are. Without, it does nothing.
  static void keep_all();
  // It outlives its test, for whoever wants to look at it.
  bool is_kept() const noexcept { return kept_ || reaper_ < 0; }

 private:
  std::filesystem::path path_;
  Fd alive_;  // the reaper waits for its end
  pid_t reaper_ = -1;
  bool kept_ = false;
};

// Whole files, for tests. Throw with the path in the message.
std::string read_file(const std::filesystem::path&);
void write_file(const std::filesystem::path&, std::string_view content);
void append_file(const std::filesystem::path&, std::string_view content);

}  // namespace support
