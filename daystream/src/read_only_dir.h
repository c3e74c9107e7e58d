// A directory of a kind that only its own writer changes: one that is elsewhere, as in an archive.
#pragma once

#include <memory>
#include <string>

#include "dir.h"

namespace daystream {

// Calls that change throw what refuse() throws.
class ReadOnlyDir : public Dir {
 public:
  using Dir::Dir;

  std::unique_ptr<File> open_writable(const std::string& name) final { refuse(name); }
  std::unique_ptr<File> create(const std::string& name) final { refuse(name); }
  void rename(const std::string& from, const std::string&) final { refuse(from); }
  void remove(const std::string& name) final { refuse(name); }
  void sync() final { refuse(""); }

 private:
  // Says what may write there.
  [[noreturn]] virtual void refuse(const std::string& name) const = 0;
};

}  // namespace daystream
