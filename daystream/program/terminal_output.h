// What this process prints, where its standard output is a terminal: harmless there, whatever it
// is made of. Names, values and what peers say come from everywhere, and are printed everywhere.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdio>
#include <string>

namespace daystream::program {

// While it lives, all that goes through `stdout` to a terminal is shown as harmless() has it.
//
// Threads: made and destroyed while no other thread prints.
class HarmlessStdout {
 public:
  HarmlessStdout() noexcept;
  ~HarmlessStdout();  // all that was printed is out
  HarmlessStdout(const HarmlessStdout&) = delete;
  HarmlessStdout& operator=(const HarmlessStdout&) = delete;

 private:
  static ssize_t written(void* self, const char* data, std::size_t size) noexcept;
  bool send(bool all);

  std::FILE* before_ = nullptr;  // nullptr: it is no terminal
  std::FILE* ours_ = nullptr;
  std::string waiting_;
};

}  // namespace daystream::program
