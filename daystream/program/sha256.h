// SHA-256, by OpenSSL.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "daystream/stop.h"

namespace daystream::program {

// Hexadecimal, 64 lower-case digits. Throws Error.
std::string sha256_of(std::string_view text);

// Of what comes in pieces. Throws Error.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void add(std::string_view bytes);
  std::string text();  // once, when all of it was added

 private:
  class Digest;
  std::unique_ptr<Digest> digest_;
};

// The sum of a whole file; empty: `stop`, which is asked now and then, was requested. Throws
// IoError.
std::string sha256_of_file(const std::filesystem::path& path, const Stop& stop);

}  // namespace daystream::program
