// --stdin: pg_recvlogical's output, line by line, into a daystream.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/stream_config.h"

namespace daystream::program {
class Signals;
}

namespace deltastream {

// Finds out early that the lines come without commit lines, in which case nothing would ever be
// whole: looks at each line until the first commit.
class CommitLineCheck {
 public:
  // `lines` are whole. Throws ConfigError when a second transaction begins before the first has its
  // commit line.
  void look_at(std::string_view lines);
  // At the end of the input. Throws the same if there were lines and none was a commit.
  void at_end() const;
  bool satisfied() const noexcept { return commit_seen_; }

 private:
  bool commit_seen_ = false;
  bool line_seen_ = false;
  std::string xid_;
};

// Reads standard input to its end, or until a stop is asked for. What is whole is on disk then.
void follow_stdin(const Config& config, daystream::program::Signals& signals);

}  // namespace deltastream
