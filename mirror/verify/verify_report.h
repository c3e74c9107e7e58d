// What a comparison finds: printed as it is found, for people, or gathered as JSON, for scripts.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "store/checkpoint.h"

namespace deltamirror {

// Threads: one at a time.
class VerifyReport {
 public:
  VerifyReport(const std::string& mirror, bool json);
  ~VerifyReport();

  // What follows is of that source; `named` where the mirror has several.
  void source(const Checkpoint& at, bool named);
  // One row, in words: table, key and columns.
  void difference(const std::string& row);
  void compared(const std::string& table, std::uint64_t rows, std::uint64_t differences,
                const std::string& how = {});
  void passed_over(const std::string& table, const std::string& why);

  std::uint64_t differences() const noexcept { return differences_; }
  // Prints the total; as JSON, all of it.
  void finish();

 private:
  void end_source();
  struct Gathered;
  std::unique_ptr<Gathered> json_;  // nullptr: for people
  std::uint64_t differences_ = 0;
  std::uint64_t of_source_ = 0;
  std::uint64_t tables_ = 0;
  std::uint64_t passed_over_ = 0;
  std::uint64_t rows_ = 0;
};

}  // namespace deltamirror
