#include "remote/s3_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "dir.h"

namespace daystream::remote {

namespace {

constexpr std::uint64_t kMostParts = 10'000;

std::string read(const File& file, std::uint64_t begin, std::uint64_t size) {
  std::string bytes(size, '\0');
  const std::size_t got = file.read_at(bytes, begin);
  if (got < size) throw Corruption(file.path(), begin + got, "the file ends here, it was longer");
  return bytes;
}

bool is_there(S3Client& client, const std::string& key, const File& file,
              const std::string& sha256) {
  const auto head = client.head(key);
  return head && head->size_bytes == file.size() && head->sha256 == sha256;
}

std::uint64_t put_parts(S3Client& client, const std::string& key, const File& file,
                        const std::string& sha256, const S3FileRules& rules) {
  const std::uint64_t size = file.size();
  const std::uint64_t part_size = std::max(rules.part_bytes, size / (kMostParts - 1));
  const auto begun = client.begun_parts(key);
  const std::string upload = begun ? *begun : client.begin_parts(key, sha256);
  const auto there = begun ? client.parts(key, upload) : std::map<int, S3Client::Part>{};
  std::vector<S3Client::Part> parts;
  std::uint64_t sent = 0;
  for (std::uint64_t at = 0; at < size; at += part_size) {
    const std::string bytes = read(file, at, std::min(part_size, size - at));
    const int number = static_cast<int>(parts.size()) + 1;
    const auto found = there.find(number);
    if (found != there.end() && found->second.size_bytes == bytes.size() &&
        found->second.etag == md5_of(bytes)) {
      parts.push_back(found->second);
    } else {
      parts.push_back(client.put_part(key, upload, number, bytes));
      sent += bytes.size();
    }
    if (rules.progress) rules.progress(at + bytes.size(), size);
  }
  client.complete(key, upload, parts);
  return sent;
}

}  // namespace

std::uint64_t put_file(S3Client& client, const std::string& key, const File& file,
                       const std::string& sha256, const S3FileRules& rules) {
  if (is_there(client, key, file, sha256)) return 0;
  std::uint64_t sent = file.size();
  if (sent > rules.part_bytes) {
    sent = put_parts(client, key, file, sha256, rules);
  } else {
    client.put(key, read(file, 0, sent), sha256);
  }
  if (is_there(client, key, file, sha256)) return sent;
  throw ConnectionLost(
      fmt::format("{}: what was put there is not there", client.address().name_of(key)),
      "it tries again; look whether others write there");
}

}  // namespace daystream::remote
