#include "log_flags.h"

namespace daystream::command {

void add_log_flags(CLI::App& command, program::LogOptions& log) {
  command.add_option("--log-level", log.level, "error, warn, info or debug")
      ->check(CLI::IsMember({"error", "warn", "info", "debug"}))
      ->capture_default_str();
  command.add_option("--log-format", log.format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
}

}  // namespace daystream::command
