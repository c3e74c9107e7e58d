// Feeds each target the files of its folder, once.
//
//   fuzz_seeds CORPUS [TARGET [FILE]...]
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "target.h"

namespace {

std::map<std::string, fuzz::Target>& targets() {
  static std::map<std::string, fuzz::Target> all;
  return all;
}

std::vector<std::filesystem::path> files_of(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry);
  std::sort(files.begin(), files.end());
  return files;
}

void feed(fuzz::Target target, const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  std::printf("%s\n", file.c_str());
  std::fflush(stdout);  // so that the last one said is the one that failed
  target(bytes);
}

}  // namespace

void fuzz::add_target(const char* name, Target target) {
  targets().emplace(name, target);
}

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.empty()) return 2;
  bool any_empty = false;
  for (const auto& [name, target] : targets()) {
    if (arguments.size() > 1 && arguments[1] != name) continue;
    std::vector<std::filesystem::path> files(
        arguments.begin() + std::min<std::ptrdiff_t>(2, argc - 1), arguments.end());
    if (files.empty()) files = files_of(std::filesystem::path(arguments[0]) / name);
    if (files.empty()) std::printf("%s has no seeds\n", name.c_str());
    any_empty |= files.empty();
    for (const auto& file : files) feed(target, file);
  }
  return any_empty ? 1 : 0;
}
