// Of many things that need descriptors, those that were used last have them.
#pragma once

#include <cstddef>
#include <list>
#include <optional>

namespace daystream::command {

// Threads: one.
class OpenSet {
 public:
  // Lifetime: outlived by its set, or never closed again.
  class Member {
   public:
    Member() = default;
    Member(const Member&) = delete;
    Member& operator=(const Member&) = delete;
    virtual ~Member() = default;

    virtual bool may_close() const noexcept { return true; }  // now
    // Lets go of its descriptors. It takes them again by itself, once it has been use()d.
    virtual void close() = 0;

   private:
    friend class OpenSet;
    std::optional<std::list<Member*>::iterator> place_;
  };

  // Of things with `each` descriptors: as many as the process may have open, but for some that it
  // needs beside them. Raises the limit as far as it may.
  explicit OpenSet(std::size_t each);

  std::size_t most() const noexcept { return most_; }
  // It is about to take descriptors: closes what was used longest ago, where that is one too many.
  void use(Member& member);

 private:
  std::size_t most_;
  std::list<Member*> open_;  // used last first
};

}  // namespace daystream::command
