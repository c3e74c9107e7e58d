// What writes the daystreams of a mirror's sources, where the process that owns the mirror sees to
// that, too.
#pragma once

#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "owner/inbox.h"
#include "store/mirrored_table.h"

namespace deltamirror {

// The Engine asks it before it takes a configuration in the middle of its run, as a new source
// needs a daystream.
//
// Threads: the Engine's, unless it is said otherwise. None of these waits for a server.
class StreamKeeper {
 public:
  StreamKeeper() = default;
  StreamKeeper(const StreamKeeper&) = delete;
  StreamKeeper& operator=(const StreamKeeper&) = delete;
  virtual ~StreamKeeper() = default;

  // Makes the streams of sources that are new, and tries those again that were given up; that one
  // can go on elsewhere, or over another connection, is looked at, and it goes on as it is until
  // settle(). What it was asked for before comes to nothing if it is not done.
  virtual void prepare(std::shared_ptr<const MirrorConfig> config) = 0;
  // Readable once prepared() has something.
  virtual int fd() const noexcept = 0;
  virtual void clear() noexcept = 0;
  // The configuration, once all of its streams are there; nullptr: not yet. Throws, once, what
  // cannot be had of it; nothing of it is left then.
  virtual std::shared_ptr<const MirrorConfig> prepared() = 0;

  // Why those that were given up are not written, by source; the only source of a mirror without a
  // configuration of sources is "".
  virtual std::map<std::string, std::exception_ptr> failures() const = 0;

  // What came of prepared(): in force, streams of sources that it does not name end; or refused,
  // and those that were made for it go.
  enum class Outcome { InForce, Refused };
  virtual void settle(Outcome outcome) = 0;

  // A request to copy tables into the mirror, which the stream of their source is to hold first.
  struct Addition {
    SourceRequest request;
    std::string source;
    std::vector<TableRequest> tables;
    std::exception_ptr error = nullptr;  // why the stream cannot hold them; nothing has changed
  };
  virtual void hold(Addition addition) = 0;
  // fd() is readable once there is one: the stream holds its tables now, or cannot. nullopt: none.
  virtual std::optional<Addition> held() = 0;
  // The mirror has taken up those tables of the source, or never will, or some have left it: the
  // stream holds what the mirror has from now on. Any thread.
  virtual void let_go(const std::string& source, const std::vector<TableRequest>& tables) = 0;
  // What will ask for a table again that is removed now, for a person; empty: nothing. Any thread.
  virtual std::string brings_back(const MirroredTable& table) const = 0;
};

}  // namespace deltamirror
