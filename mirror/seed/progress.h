// How far long work has come: in place on a terminal, plain lines elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace deltamirror {

class ProgressLine {
 public:
  // `expected`: rows, for the time left; not above 0: not known.
  ProgressLine(std::string what, double expected);
  void update(std::uint64_t rows);  // cheap: shows something now and then
  void finish(std::uint64_t rows);

 private:
  std::string line(std::uint64_t rows) const;

  std::string what_;
  double expected_;
  bool terminal_;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point shown_;
};

}  // namespace deltamirror
