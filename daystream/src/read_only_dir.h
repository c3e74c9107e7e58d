// A directory of a kind that only its own writer changes: one that is elsewhere, as in an archive.
#pragma once

#include <memory>
#include <string>

#include "daystream/error.h"
#include "dir.h"

namespace daystream {

// Calls that change throw refusal().
class ReadOnlyDir : public Dir {
 public:
  using Dir::Dir;

  std::unique_ptr<File> open_writable(const std::string& name) final { throw refusal(name); }
  std::unique_ptr<File> create(const std::string& name) final { throw refusal(name); }
  void rename(const std::string& from, const std::string&) final { throw refusal(from); }
  void remove(const std::string& name) final { throw refusal(name); }
  void sync() final { throw refusal(""); }

 private:
  // Says what may write there.
  virtual Error refusal(const std::string& name) const = 0;
};

}  // namespace daystream
