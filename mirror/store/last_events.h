// What a mirror remembers for `status` beside its checkpoint: when each table last changed, and the
// last error of each source.
#pragma once

#include <exception>
#include <optional>
#include <string>

#include "daystream/error.h"
#include "sqlite/sqlite.h"

namespace deltamirror {

struct LastChange {
  std::string at;   // the commit's time, UTC; to about a second, as it is not written each time
  std::string lsn;  // of that commit, or a later one of the same second
};
void save_change(Database& db, const std::string& source, std::uint32_t oid,
                 const LastChange& change);
std::optional<LastChange> load_change(const Database& db, const std::string& source,
                                      std::uint32_t oid);

// What a source is at since its last error, as the owner last said.
enum class AfterError {
  None,     // it goes on
  Waiting,  // the owner tries again
  Stopped,  // a person is needed
};

struct LastError {
  std::string at;
  std::string message;
  std::string hint;
  AfterError after = AfterError::None;
};
// Whose the error is where it is about the mirror's configuration: no source is called like it.
inline constexpr const char* kOfConfig = "";

// In a transaction of its own. What cannot be stored, as on a full disk, this process keeps in
// memory until something can be stored again.
void remember_error(Database& db, const std::string& source, const daystream::Error& error,
                    AfterError after = AfterError::None) noexcept;
// The same of what a thread of its own has met that writes the source's stream: a person is needed.
// Nothing where it is what is stored.
void remember_failure(Database& db, const std::string& source, const std::exception_ptr& failure);
// The source has gone on since: what was wrong is mended.
void forget_error(Database& db, const std::string& source);
std::optional<LastError> load_error(const Database& db, const std::string& source);
// What this process has in memory alone.
std::optional<LastError> unstored_error(const std::string& source);

// What keeps the stream of a source from being written, where this process runs its deltastream
// and knows more than that says of itself; nullopt: nothing. In memory alone: it is true while this
// process lives. `source`: empty: the mirror's only one.
//
// Threads: any.
void set_stream_trouble(const std::string& source, std::optional<LastError> trouble);
std::optional<LastError> stream_trouble(const std::string& source);

}  // namespace deltamirror
