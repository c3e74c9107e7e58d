// The work of `daystream merge`: several sources of one database, one output.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "daystream/reader.h"
#include "open_set.h"
#include "part.h"
#include "place.h"

namespace daystream::command {

// Transactions go out in the order of their commit LSNs, which is that of their commits. One goes
// out when every source is known to have none before it: its next one is later, or a mark or commit
// of it says that it has come that far. What several sources have of one transaction becomes one
// transaction again, its lines where `_n` says they were.
//
// Any number of sources: those that were read last are open, the others are opened again where they
// were. What a transaction costs does not depend on how many there are.
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
  // Both by place in the stream, and then as the sources were found.
  struct ByOrder {
    bool operator()(const Source* one, const Source* other) const;
  };
  struct ByBefore {
    bool operator()(const Source* one, const Source* other) const;
  };
  // A source as given: a daystream, or the directory of a split.
  struct Root {
    Stream stream;
    bool is_added = false;                           // a daystream
    std::filesystem::file_time_type looked_at = {};  // a split: when it had changed last
    FileIdentity catalog = {};                       // and what its catalog was then
  };

  bool look_for_sources();
  void look_into(Root& root, const std::filesystem::path& split);
  void add_source(const Stream& stream);
  bool read_on(Source& source);
  bool read_those_behind();
  void begin();
  Source* next_source();
  void emit(Source& first);
  void take(Source& source);
  void take_mark(Source& source);
  void say_holding(Lsn lsn);
  bool catalog_has_changed();
  std::vector<Source*> same_as(const Source& first);
  void emit_joined(const std::vector<Source*>& sources);
  Holding holding() const;

  std::vector<Root> roots_;
  std::filesystem::path directory_;
  std::vector<std::unique_ptr<Source>> sources_;
  std::set<std::string> addresses_;  // of all sources
  OpenSet open_;
  std::set<Source*, ByOrder> ready_;     // the next of which is known
  std::set<Source*, ByBefore> waiting_;  // those of which it is not
  bool must_look_ = true;                // for new sources: something was read since
  SourceFacts facts_;
  std::unique_ptr<Part> output_;
  std::uint64_t unflushed_bytes_ = 0;
  std::chrono::steady_clock::time_point marked_;
};

}  // namespace daystream::command
