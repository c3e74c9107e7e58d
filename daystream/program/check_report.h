// What --check of each program is: everything that the work needs is looked at before it begins,
// and each thing is said to be right, or what to do about it. Nothing is changed anywhere.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

namespace daystream::program {

// Prints each check to standard output as it is made, and remembers the worst failure.
class CheckReport {
 public:
  // `json`: for scripts, a JSON object a line: {"check", "result", "detail", "hint"}.
  explicit CheckReport(bool json = false) noexcept : json_(json) {}

  bool is_json() const noexcept { return json_; }

  // `body` returns what it has found, or throws Error. False: it failed.
  bool check(const char* name, const std::function<std::string()>& body);
  // What does not keep the work from beginning, but should be known.
  void warn(const char* name, const std::string& detail, const std::string& hint = {});
  // 0, or the highest of those that failed: what a person has to mend is said to need one, whatever
  // else is missing.
  int exit_code() const noexcept { return exit_code_; }

  // Whether files can be made in `directory`, or it itself where it is not there.
  void check_directory(const std::filesystem::path& directory);
  // The room on its file system; a warning where it is little, a failure where there is none.
  void check_room(const std::filesystem::path& directory);
  // Of `who`, now, in microseconds since 1970: whether it and ours differ by more than seconds.
  void check_clock(const char* who, std::int64_t its_clock_us);

 private:
  enum class Result { Ok, Warning, Failed };
  void print(Result result, const char* name, const std::string& detail,
             const std::string& hint) const;

  const bool json_;
  int exit_code_ = 0;
};

// What --json does of those that print a report.
inline constexpr const char* kJsonChecks = "print one JSON object a check, for scripts";

}  // namespace daystream::program
