// A directory for one test, in memory where it can be. Unlike a TempDir it is left behind by a test
// that dies: cheap, for tests by the thousand and without a PostgreSQL.
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace support {

class ScratchDir {
 public:
  ScratchDir() {
    // In memory where there is such a place: thousands of these are made, and none needs a disk.
    const char* wanted = std::getenv("TMPDIR");
    std::filesystem::path parent = "/dev/shm";
    if (wanted != nullptr || access(parent.c_str(), W_OK) != 0) {
      parent = std::filesystem::temp_directory_path();
    }
    std::string pattern = (parent / "daystream-test-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = pattern;
  }
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;
  ~ScratchDir() {
    std::error_code ignored;  // a test that failed has said more than this could
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace support
