// deltastream's flags as CLI11 reads them, before they are checked (config.h).
#pragma once

#include <CLI/CLI.hpp>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "config.h"

namespace deltastream {

// The plugin options that say *which* changes are streamed. All others say how a line looks;
// deltastream sets those itself, because mirrors rely on them.
inline constexpr std::array<std::string_view, 6> kFilters = {
    "tables", "exclude-tables", "exclude-columns", "actions", "only-local", "include-messages"};

std::string filter_names();  // of kFilters, for messages

// Raw flag values, and the Config they become.
struct Flags {
  Config config;
  std::string source;
  std::string tables;
  std::vector<std::string> options;
  std::string end_lsn;
  double fsync_interval = 0;
  double status_interval = 10;
  double create_timeout = 60;
  std::string compress;  // empty: no; "yes": at our level
  std::string keep_days;
  std::string keep_bytes;
  bool partition_root = false;
  bool no_loop = false;
  bool no_failover = false;
  bool drop_slot = false;
  bool recreate_slot = false;
  bool check = false;
  bool from_stdin = false;
  std::string status_directory;
};

// Adds all flags to `app`. Their values go to `flags`, which must outlive it.
void describe_flags(CLI::App& app, Flags& flags);

}  // namespace deltastream
