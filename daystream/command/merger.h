// The work of `daystream merge`: several sources of one database, one output.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daystream/reader.h"
#include "part.h"

namespace daystream::command {

// Transactions go out in the order of their commit LSNs, which is that of their commits. One goes
// out when every source is known to have none before it: its next one is later, or a mark or commit
// of it says that it has come that far. What several sources have of one transaction becomes one
// transaction again, its lines where `_n` says they were.
//
// Exactly once, whatever is killed when: the output's last LSN says what it has, and every source
// is read from after that.
class Merger {
 public:
  // A source is a daystream, or a directory of `daystream split`: then all its parts, also those
  // that appear later. Throws WrongSource where they are not of one database.
  Merger(std::vector<Stream> sources, const std::filesystem::path& output);
  ~Merger();

  // Works through what can go out now, until `stop` says so. It is on disk afterwards.
  void work(const std::function<bool()>& stop);
  // Sleeps until the source that everything waits for has more, or `wake_fd` is readable.
  void wait(int wake_fd);
  // Says how far all sources are, at the end.
  void mark();

 private:
  struct Source;

  bool look_for_sources();
  void add_source(const Stream& stream);
  void fill();
  void begin();
  Source* next_source() const;
  Lsn reached() const;
  void emit(Source& first);
  void take_mark(Source& source);
  void say_holding(Lsn lsn);
  void emit_joined(const std::vector<Source*>& sources);
  Holding holding() const;

  std::vector<Stream> roots_;  // as given
  std::filesystem::path directory_;
  std::vector<std::unique_ptr<Source>> sources_;
  std::vector<std::filesystem::file_time_type> looked_at_;  // when each root had changed last
  SourceFacts facts_;
  std::unique_ptr<Part> output_;
  std::uint64_t unflushed_bytes_ = 0;
  std::chrono::steady_clock::time_point marked_;
};

}  // namespace daystream::command
