// A consumer that writes down what it is handed, and whether that is the stream.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "support/stream_checker.h"

namespace fault {

// `daystream consume` of `daystream` into `file`, by a command that acknowledges each commit once
// it is written down. Killed anywhere it may write a transaction again, never leave one out.
std::vector<std::string> consume_command(const std::filesystem::path& daystream,
                                         const std::filesystem::path& checkpoint,
                                         const std::filesystem::path& file);

// The LSNs of the commits in `file`, as often as they were handed over.
std::vector<std::uint64_t> consumed_commits(const std::filesystem::path& file);

// What `file` lacks of `content`, or has too much or in another order; empty: nothing.
std::string consumer_complaint(const std::filesystem::path& file,
                               const support::StreamContent& content);

}  // namespace fault
