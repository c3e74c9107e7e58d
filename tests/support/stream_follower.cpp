#include "support/stream_follower.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <vector>

namespace support {

namespace {

std::string read_from(const std::filesystem::path& path, std::uint64_t offset) {
  std::ifstream in(path, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(offset));
  if (!in) throw std::runtime_error("could not read file \"" + path.string() + "\"");
  std::ostringstream out;
  out << in.rdbuf();
  return std::move(out).str();
}

std::uint64_t size_of(const FileSizes& sizes, const std::string& name) {
  for (const auto& [known, size] : sizes) {
    if (known == name) return size;
  }
  return 0;
}

}  // namespace

std::optional<StreamViolation> StreamFollower::advance(const FileSizes& sure) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    const std::string name = entry.path().filename();
    if (name.ends_with(".tsv") && name >= file_) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  StreamRules rules = rules_;
  for (const std::string& name : names) {
    std::uint64_t at = name == file_ ? offset_ : 0;
    try {
      if (at == 0) {
        if (rules.in_transaction()) throw BrokenRule{"a transaction that straddles a day"};
        rules.begin_file(name);
      }
      const std::string content = read_from(directory_ / name, at);
      const std::uint64_t begin = at;
      const std::uint64_t safe = size_of(sure, name);
      for (std::size_t done = 0; done < content.size();) {
        const std::size_t newline = content.find('\n', done);
        if (newline == std::string::npos) {
          if (name != names.back()) throw BrokenRule{"half a line"};
          return std::nullopt;
        }
        StreamContent ended;
        rules.line(std::string_view(content).substr(done, newline + 1 - done), at, ended);
        done = newline + 1;
        at = begin + done;
        if (rules.in_transaction() || at > safe) continue;
        passed_bytes_ += at - (name == file_ ? offset_ : 0);
        rules_ = rules;
        file_ = name;
        offset_ = at;
      }
    } catch (const BrokenRule& broken) {
      return StreamViolation{name, at, broken.what()};
    }
  }
  return std::nullopt;
}

}  // namespace support
