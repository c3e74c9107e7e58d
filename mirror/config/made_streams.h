// MIRROR.up.json, as it is read: the streams that `up` has made for a mirror (up/up_record.h).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace deltamirror {

inline constexpr int kMadeStreamsVersion = 1;

struct MadeStream {
  std::string source;  // empty: the mirror's only one
  std::filesystem::path directory;
  std::string slot;
  std::string conninfo;  // without passwords
};

std::filesystem::path record_file(const std::string& mirror);

// Empty where there is no such file. Throws NeedsPerson.
std::vector<MadeStream> made_streams(const std::string& mirror);

}  // namespace deltamirror
