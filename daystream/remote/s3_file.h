// A file as an object.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "remote/s3_client.h"

namespace daystream {
class File;
}

namespace daystream::remote {

struct S3FileRules {
  std::uint64_t part_bytes = std::uint64_t{16} * 1024 * 1024;  // what is larger goes in parts
  // Called as parts get there: how many bytes of how many.
  std::function<void(std::uint64_t done, std::uint64_t size)> progress = {};
};

// Puts it there, unless it is, and looks that it is there with its size and SHA-256. Parts that an
// earlier call has put are not put again. Gives how many bytes were sent. Throws ConnectionLost
// where it is not there afterwards.
std::uint64_t put_file(S3Client& client, const std::string& key, const File& file,
                       const std::string& sha256, const S3FileRules& rules);

}  // namespace daystream::remote
