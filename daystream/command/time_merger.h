// The work of `daystream merge` where the inputs are of different databases: one output, in
// commit-time order (FORMAT.md, "Merged of several databases").
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "daystream/stop.h"
#include "origin.h"
#include "part.h"

namespace daystream::command {

// An input, and what lines of the output call it. An empty name: as its manifest does.
struct NamedInput {
  std::string name;
  Stream stream;
};

// A transaction's turn is its commit time, or the time up to which its input was known already
// where that is later: so turns never go back within an input, and depend on nothing but what the
// inputs hold. One goes out when every input is known to have none before it; an input that has
// nothing to say shows it by its marks, whose `_c` is the time.
//
// Exactly once, whatever is killed when: each commit line of the output says where in its input it
// stood, marks repeat it for all inputs, and each is read on from there.
class TimeMerger {
 public:
  // Throws WrongSource where the output is of other inputs, ConfigError where two have one name,
  // NeedsPerson where one is itself merged of several databases.
  TimeMerger(std::vector<NamedInput> inputs, const std::filesystem::path& output);
  ~TimeMerger();

  // Works through what can go out now, until `stop` is requested. It is on disk afterwards.
  void work(const Stop& stop);
  // Sleeps until the input that everything waits for has more, or `wake_fd` is readable.
  void wait(int wake_fd);
  // Says how far all inputs are, at the end.
  void mark();

 private:
  struct Input;

  void fill();
  Input* next_input() const;
  std::int64_t reached_us() const;
  void emit(Input& input);

  std::vector<std::unique_ptr<Input>> inputs_;
  InputFacts facts_;
  std::unique_ptr<Part> output_;
  std::string lines_;
  std::uint64_t unflushed_bytes_ = 0;
  std::chrono::steady_clock::time_point marked_;
};

}  // namespace daystream::command
