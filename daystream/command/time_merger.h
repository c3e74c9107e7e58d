// The work of `daystream merge` where the sources are of different databases: one output, in
// commit-time order (FORMAT.md, "Merged of several databases").
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "origin.h"
#include "part.h"

namespace daystream::command {

// A source, and what lines of the output call it. An empty name: as its manifest does.
struct NamedSource {
  std::string name;
  Stream stream;
};

// A transaction's turn is its commit time, or the time up to which its source was known already
// where that is later: so turns never go back within a source, and depend on nothing but what the
// sources hold. One goes out when every source is known to have none before it; a source that has
// nothing to tell says so by its marks, whose `_c` is the time.
//
// Exactly once, whatever is killed when: each commit line of the output says where in its source it
// stood, marks repeat it for all sources, and each is read on from there.
class TimeMerger {
 public:
  // Throws WrongSource where the output is of other sources, ConfigError where two have one name,
  // NeedsPerson where one is itself merged of several databases.
  TimeMerger(std::vector<NamedSource> sources, const std::filesystem::path& output);
  ~TimeMerger();

  // Works through what can go out now, until `stop` says so. It is on disk afterwards.
  void work(const std::function<bool()>& stop);
  // Sleeps until the source that everything waits for has more, or `wake_fd` is readable.
  void wait(int wake_fd);
  // Says how far all sources are, at the end.
  void mark();

 private:
  struct Source;

  void fill();
  Source* next_source() const;
  std::int64_t reached_us() const;
  void emit(Source& source);

  std::vector<std::unique_ptr<Source>> sources_;
  SourceFacts facts_;
  std::unique_ptr<Part> output_;
  std::string lines_;
  std::uint64_t unflushed_bytes_ = 0;
  std::chrono::steady_clock::time_point marked_;
};

}  // namespace daystream::command
