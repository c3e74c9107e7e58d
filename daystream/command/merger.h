// The work of `daystream merge`: several inputs of one database, one output.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "daystream/reader.h"
#include "daystream/stop.h"
#include "open_set.h"
#include "part.h"
#include "place.h"

namespace daystream::command {

// Transactions go out in the order of their commit LSNs, which is that of their commits. One goes
// out when every input is known to have none before it: its next one is later, or a mark or commit
// of it says that it has come that far. What several inputs have of one transaction becomes one
// transaction again, its lines where `_n` says they were.
//
// Any number of inputs: those that were read last are open, the others are opened again where they
// were. What a transaction costs does not depend on how many there are.
//
// Exactly once, whatever is killed when: the output's last LSN says what it has, and every input
// is read from after that.
class Merger {
 public:
  // An input is a daystream, or a directory of `daystream split`: then all its parts, also those
  // that appear later. Throws WrongSource where they are not of one database.
  Merger(std::vector<Stream> inputs, const std::filesystem::path& output);
  ~Merger();

  // Works through what can go out now, until `stop` is requested. It is on disk afterwards.
  void work(const Stop& stop);
  // Sleeps until the input that everything waits for has more, or `wake_fd` is readable.
  void wait(int wake_fd);
  // Says how far all inputs are, at the end.
  void mark();

 private:
  struct Input;
  // Both by place in the stream, and then as the inputs were found.
  struct ByOrder {
    bool operator()(const Input* one, const Input* other) const;
  };
  struct ByBefore {
    bool operator()(const Input* one, const Input* other) const;
  };
  // An input as given: a daystream, or the directory of a split.
  struct Root {
    Stream stream;
    bool is_added = false;                           // a daystream
    std::filesystem::file_time_type looked_at = {};  // a split: when it had changed last
    FileIdentity catalog = {};                       // and what its catalog was then
  };

  bool look_for_sources();
  void look_into(Root& root, const std::filesystem::path& split);
  void add_input(const Stream& stream);
  bool read_on(Input& input);
  bool read_those_behind();
  void begin();
  Input* next_input();
  void emit(Input& first);
  void take(Input& input);
  void take_mark(Input& input);
  void say_holding(Lsn lsn);
  bool catalog_has_changed();
  std::vector<Input*> same_as(const Input& first);
  void emit_joined(const std::vector<Input*>& inputs);
  Holding holding() const;

  std::vector<Root> roots_;
  std::filesystem::path directory_;
  std::vector<std::unique_ptr<Input>> inputs_;
  std::set<std::string> addresses_;  // of all inputs
  OpenSet open_;
  std::set<Input*, ByOrder> ready_;     // the next of which is known
  std::set<Input*, ByBefore> waiting_;  // those of which it is not
  bool must_look_ = true;               // for new inputs: something was read since
  InputFacts facts_;
  std::unique_ptr<Part> output_;
  std::uint64_t unflushed_bytes_ = 0;
  std::chrono::steady_clock::time_point marked_;
};

}  // namespace daystream::command
