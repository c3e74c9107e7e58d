// The disk's half of a group commit, apart from the Writer that asks for it: it may run on a thread
// of its own.
#pragma once

#include <atomic>
#include <memory>

#include "daystream/durable.h"
#include "daystream/writer.h"
#include "dir.h"

namespace daystream {

// Keeps the errno of the error that is being handled, unless another one came first: the next
// call of the Writer, on any thread, is to report the disk that was full, not a consequence.
void remember_failure(std::atomic<int>& failed) noexcept;

// What one flush has to do, so that the disk may work on another thread. `failed`, the errno of
// what failed first or 0, is shared by the Writer and all its flushes: after one failed fdatasync
// none may follow, because the kernel may have dropped the pages and the next would succeed with
// the data gone (docs/guarantees.md#nothing-lost).
struct Writer::Flush::Work {
  std::shared_ptr<std::atomic<int>> failed;
  std::shared_ptr<File> day_file;  // nullptr: nothing new
  std::shared_ptr<File> durable_file;
  Durable durable;
  bool done = false;
};

}  // namespace daystream
