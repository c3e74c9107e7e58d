// What a command line says, and what is wrong with one, in our words.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace daystream::program {

// A command line that cannot be understood.
class UsageError : public CLI::ParseError {
 public:
  UsageError(const std::string& message, std::string command)
      : CLI::ParseError(message, CLI::ExitCodes::InvalidError), command_(std::move(command)) {}
  const std::string& command() const noexcept { return command_; }  // whose --help says more; empty

 private:
  std::string command_;
};

// Throws a CLI::ParseError: what an option was given, or options together, cannot be understood.
[[noreturn]] void usage(const std::string& message);

// `arguments`: without the program's name. `beneath`: flags as "--name=value" that stand before
// them, and give way. Throws UsageError; --help and --version are a CLI::ParseError with exit code
// 0 that carries their text, where nothing else on the line is wrong.
void parse(CLI::App& app, const std::vector<std::string>& arguments,
           const std::vector<std::string>& beneath = {});

// ": did you mean …?" where one of `words` may have been meant; else nothing.
std::string did_you_mean(const std::string& word, const std::vector<std::string>& words);

// The one of `words` that `word` may have been meant as; empty: none is like it.
std::string most_like(const std::string& word, const std::vector<std::string>& words);

}  // namespace daystream::program
